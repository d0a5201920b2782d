//! What came out of the demo.

use std::time::Duration;

use serde_json::json;

use super::numbers::thousandth;
use crate::args::DemoArgs;
use crate::error::CliError;
use crate::output::{self, count, line, table};

/// Everything the demo counted and measured; times in milliseconds unless named otherwise.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) killed: usize,
    pub(crate) sent: usize,
    pub(crate) answers: usize,
    pub(crate) accepted: usize,
    pub(crate) delivered: usize,
    pub(crate) lost: usize,
    pub(crate) duplicated: usize,
    pub(crate) unproved: usize,
    pub(crate) proofs_verified: usize,
    pub(crate) proof_bytes_max: usize,
    pub(crate) proof_verify_us_p50: f64,
    pub(crate) tampered: usize,
    pub(crate) tampered_rejected: usize,
    pub(crate) finality_count: u64,
    pub(crate) finality_ms_p50: f64,
    pub(crate) finality_ms_p99: f64,
    pub(crate) accept_ms_p50: f64,
    pub(crate) deliver_ms_p50: f64,
    pub(crate) deliver_ms_p99: f64,
    pub(crate) start_ms: f64,
    pub(crate) restart_ms: f64,
    pub(crate) message_bytes: usize,
    /// Members of the group after one was put out.
    pub(crate) group_members: usize,
    pub(crate) group_epochs: u64,
    pub(crate) group_messages: usize,
    /// Whether its members ended in the same epoch with the same messages.
    pub(crate) group_agrees: bool,
}

impl Report {
    /// Whether nothing was lost, duplicated or left unproved, and every lie was refused.
    pub(crate) fn is_good(&self) -> bool {
        self.faults().is_empty()
    }

    /// What was not as it should be.
    pub(crate) fn faults(&self) -> String {
        let mut faults = Vec::new();
        let mut fault = |is: bool, text: String| {
            if is {
                faults.push(text);
            }
        };
        let missing = self.sent.saturating_sub(self.accepted);
        fault(missing > 0, format!("{} not accepted", count(missing, "message")));
        fault(self.lost > 0, format!("{} lost", count(self.lost, "message")));
        fault(
            self.duplicated > 0,
            format!("{} delivered twice", count(self.duplicated, "message")),
        );
        fault(
            self.unproved > 0,
            format!("{} left unproved", count(self.unproved, "message")),
        );
        fault(self.killed == 0, "no node was killed".to_owned());
        fault(
            self.tampered == 0 || self.tampered_rejected < self.tampered,
            format!(
                "{} of {} altered copies were refused",
                self.tampered_rejected, self.tampered
            ),
        );
        fault(!self.group_agrees, "the group did not agree in time".to_owned());
        faults.join(", ")
    }

    /// Prints the table, or the object.
    pub(crate) fn show(&self, args: &DemoArgs, elapsed: Duration) -> Result<(), CliError> {
        let elapsed_ms = thousandth(elapsed.as_secs_f64() * 1_000.0);
        if args.json {
            return output::json(&json!({
                "nodes": self.nodes,
                "killed": self.killed,
                "sent": self.sent,
                "answers": self.answers,
                "accepted": self.accepted,
                "delivered": self.delivered,
                "lost": self.lost,
                "duplicated": self.duplicated,
                "unproved": self.unproved,
                "proofs_verified": self.proofs_verified,
                "proof_bytes_max": self.proof_bytes_max,
                "proof_verify_us_p50": thousandth(self.proof_verify_us_p50),
                "tampered": self.tampered,
                "tampered_rejected": self.tampered_rejected,
                "finality_count": self.finality_count,
                "finality_ms_p50": thousandth(self.finality_ms_p50),
                "finality_ms_p99": thousandth(self.finality_ms_p99),
                "accept_ms_p50": thousandth(self.accept_ms_p50),
                "deliver_ms_p50": thousandth(self.deliver_ms_p50),
                "deliver_ms_p99": thousandth(self.deliver_ms_p99),
                "start_ms": thousandth(self.start_ms),
                "restart_ms": thousandth(self.restart_ms),
                "elapsed_ms": elapsed_ms,
                "message_bytes": self.message_bytes,
                "group_members": self.group_members,
                "group_epochs": self.group_epochs,
                "group_messages": self.group_messages,
                "seed": args.seed,
            }));
        }
        let row = |name: &str, value: String| vec![format!("  {name}"), value];
        let ms = |value: f64| format!("{value:.1} ms");
        line(format!(
            "\n{}",
            table(&[
                row("messages sent", self.sent.to_string()),
                row("accepted by a quorum", self.accepted.to_string()),
                row("delivered", self.delivered.to_string()),
                row("lost", self.lost.to_string()),
                row("duplicated", self.duplicated.to_string()),
                row("proofs verified", self.proofs_verified.to_string()),
                row("largest proof", format!("{:.2} KiB", kib(self.proof_bytes_max))),
                row("verifying one, median", format!("{:.0} µs", self.proof_verify_us_p50)),
                row("altered copies refused", self.tampered_rejected.to_string()),
                row("nodes killed and restarted", self.killed.to_string()),
                row("epochs of the group", self.group_epochs.to_string()),
                row("finality, median", ms(self.finality_ms_p50)),
                row("finality, 99 %", ms(self.finality_ms_p99)),
                row("sent to decrypted, median", ms(self.deliver_ms_p50)),
                row("sent to decrypted, 99 %", ms(self.deliver_ms_p99)),
                row("all nodes ready after", ms(self.start_ms)),
                row("killed node back after", ms(self.restart_ms)),
                row("whole demo", format!("{:.1} s", elapsed_ms / 1_000.0)),
            ])
        ))?;
        if let Some(dir) = &args.dir {
            line(format!("\nEverything is kept in {}.", dir.display()))?;
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss, reason = "a proof has a few thousand bytes")]
fn kib(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        Report {
            killed: 1,
            sent: 10,
            accepted: 10,
            delivered: 10,
            tampered: 1,
            tampered_rejected: 1,
            group_agrees: true,
            ..Report::default()
        }
    }

    #[test]
    fn only_a_flawless_demo_is_good() {
        assert!(good().is_good());
        let flaws: [fn(&mut Report); 8] = [
            |report| report.accepted = 9,
            |report| report.lost = 1,
            |report| report.duplicated = 1,
            |report| report.unproved = 1,
            |report| report.killed = 0,
            |report| report.tampered = 0,
            |report| report.tampered_rejected = 0,
            |report| report.group_agrees = false,
        ];
        for flaw in flaws {
            let mut report = good();
            flaw(&mut report);
            assert!(!report.is_good(), "{report:?}");
        }
    }
}
