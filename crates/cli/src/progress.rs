//! Something to look at while one waits; on standard error, and only if that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A moving sign with a text until the work is done.
pub(crate) async fn during<T>(text: &'static str, work: impl Future<Output = T>) -> T {
    let bar = spinner(text);
    let done = work.await;
    bar.finish_and_clear();
    done
}

/// A moving sign with a text.
pub(crate) fn spinner(text: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} … {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(text);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A bar up to `length`.
pub(crate) fn bar(text: &'static str, length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("  {msg:<22} [{bar:32}] {pos}/{len}  {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(text);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
