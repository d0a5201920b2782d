//! The terminal while the screen is drawn on it, and as it was before.

use std::io::{IsTerminal as _, stdin, stdout};

use crossterm::event::{DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange};
use crossterm::execute;
use ratatui::DefaultTerminal;

use crate::error::CliError;

/// Whether there is one.
pub(super) fn check() -> Result<(), CliError> {
    if stdin().is_terminal() && stdout().is_terminal() {
        return Ok(());
    }
    Err(CliError::local(
        "there is no terminal to chat at: run it in one, or use `tokenim group send` and `tokenim group read`",
    ))
}

/// A terminal in the hands of the screen. It is given back when this is dropped, also by a panic.
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> Result<Self, CliError> {
        // It also has the terminal given back before a panic tells what it has to tell.
        let terminal = ratatui::try_init().map_err(|error| {
            ratatui::restore();
            CliError::local(format!("the terminal can't be used: {error}; try another one"))
        })?;
        // Where pasting is not told apart, it is typing; where nobody says who looks, somebody does.
        let _ = execute!(stdout(), EnableBracketedPaste, EnableFocusChange);
        Ok(Self { terminal })
    }

    pub(super) const fn terminal(&mut self) -> &mut DefaultTerminal {
        &mut self.terminal
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(stdout(), DisableFocusChange, DisableBracketedPaste);
        ratatui::restore();
    }
}
