//! The command at a terminal: a pseudo-terminal, and what is on its screen.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::tokenim;

const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: NonZero<u16> = NonZero::new(24).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(80).unwrap();

pub(crate) struct Terminal {
    child: Child,
    keys: File,
    /// Keeps the terminal open, to look at it after the command has ended.
    line: OwnedFd,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Runs the command at a terminal of 24 rows and 80 columns.
    pub(crate) fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: ROWS.get(),
            ws_col: COLUMNS.get(),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&line, size).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = tokenim(args).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut output, shown) = (File::from(master.try_clone().unwrap()), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self {
            child,
            keys: File::from(master),
            line,
            screen,
        }
    }

    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until a text is on the screen.
    pub(crate) fn shows(&self, text: &str) {
        self.wait_until(|screen| screen.contains(text), &format!("{text} is not on the screen"));
    }

    /// Presses Escape, and waits until a text is gone by it: what is pressed at once after it would be one key with it.
    pub(crate) fn escape_from(&mut self, text: &str) {
        self.press("\u{1b}");
        self.wait_until(|screen| !screen.contains(text), &format!("{text} stays on the screen"));
    }

    fn wait_until(&self, is_so: impl Fn(&str) -> bool, otherwise: &str) {
        let started = Instant::now();
        while !is_so(&self.screen()) {
            assert!(started.elapsed() < PATIENCE, "{otherwise}:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the end, and whether the terminal is as it was: its input by lines, its own screen, a cursor.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() >= PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end:\n{}", self.screen());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        std::thread::sleep(Duration::from_millis(200));
        let modes = tcgetattr(&self.line).unwrap();
        assert!(modes.local_modes.contains(rustix::termios::LocalModes::ICANON));
        assert!(modes.local_modes.contains(rustix::termios::LocalModes::ECHO));
        let parser = self.screen.lock().unwrap();
        assert!(!parser.screen().alternate_screen() && !parser.screen().hide_cursor());
        assert!(!parser.screen().bracketed_paste());
        drop(parser);
        status
    }
}
