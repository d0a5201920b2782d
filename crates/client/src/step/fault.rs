//! What a node did that no honest node does.

use tokenim_ledger::ProofError;

/// A wrong answer, seen by checking it alone.
///
/// The answer is dropped, the node is noted, and the question goes to another node. Silence,
/// refusal and a stale view are not faults: honest nodes can't always help them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The receipt names another node, mailbox, envelope or expiry than the one asked for.
    #[error("its receipt is for something other than what it was given")]
    ReceiptForAnother,
    /// The receipt's signature does not verify under the node's key.
    #[error("the signature on its receipt does not verify")]
    ReceiptSignature,
    /// The head names another node or mailbox, or does not echo the question's nonce.
    #[error("its answer to a read was signed for another question")]
    HeadForAnother,
    /// The head's signature does not verify under the node's key.
    #[error("the signature on its answer to a read does not verify")]
    HeadSignature,
    /// The bytes of a copy don't hash to the envelope id under which the node serves them.
    #[error("a copy it served was altered: its bytes do not hash to the envelope's id")]
    TamperedCopy,
    /// The entries don't begin where asked, skip an index, or go past the log's size.
    #[error("the log entries it served are not in sequence")]
    LogGap,
    /// The entries don't add up to the log root that the node signed.
    #[error("the log entries it served do not add up to the root that it signed")]
    LogRoot,
    /// The log is shorter than one the same node showed before.
    #[error("its log is shorter than one it showed before")]
    LogShrank,
    /// A proof from the ledger that does not verify.
    #[error("a ledger proof it served does not verify: {0}")]
    Proof(ProofError),
    /// A proof that verifies, but of something else than was asked for.
    #[error("a ledger proof it served is about something else")]
    ProofForAnother,
    /// An answer of another kind than the request's.
    #[error("its answer does not fit the question")]
    WrongAnswer,
    /// Bytes that are no answer at all.
    #[error("its answer could not be decoded")]
    Undecodable,
}
