//! The lies that a [`LyingNode`](crate::LyingNode) can tell.

/// What a lying node does instead of what it should. Requests that a lie is not about are answered as the honest node
/// behind it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lie {
    // Of whatever was asked.
    /// Takes every request and never answers.
    Silence,
    /// Answers bytes that are no answer.
    Garbage,
    /// Answers something else than was asked.
    OtherAnswer,

    // Of the mailbox, to readers.
    /// Serves envelopes with a byte flipped.
    FlippedByte,
    /// Lists envelopes, but serves none.
    WithheldEnvelopes,
    /// Signs that the log is empty.
    EmptyLog,
    /// Serves each mailbox as when it was first asked for it, its head signed back then.
    StaleHead,
    /// Serves the log under a head that another key signed.
    HeadOfAnotherKey,
    /// Leaves the last envelope out of a log whose head still counts it.
    MissingEntry,
    /// Lists each envelope twice, in a log that it signs.
    RepeatedEnvelopes,
    /// Adds an envelope that nobody sent, in a log that it signs.
    InventedEnvelope,

    // Of the mailbox, to writers.
    /// Says that the owner of an inbox has left no contact keys.
    HiddenContactKeys,
    /// Hands out the contact keys that an inbox had when it was first asked for them.
    OldContactKeys,
    /// Hands out the contact keys of another inbox.
    OtherContactKeys,
    /// Keeps nothing, and signs the receipt with another key than its own.
    ForgedReceipt,
    /// Keeps nothing, and hands out another node's receipt for the envelope.
    ReceiptOfAnother,
    /// Keeps nothing, and puts its name over another node's signature.
    BorrowedSignature,
    /// Keeps nothing, and hands out the receipt that it once gave for another envelope.
    OldReceipt,
    /// Keeps nothing, and signs a receipt all the same: alone, nobody can tell.
    EmptyPromise,

    // Of the ledger.
    /// Answers look-ups with what was true when it was first asked.
    OldLookup,
    /// Says that an identity is not there, with the proof that it is.
    DeniedIdentity,
    /// Answers what follows an entry of a group log with what was true when it was first asked.
    HiddenChildren,
    /// Adds a child to an entry of a group log, with the proof of the entry without it.
    InventedChildren,
    /// Leaves the last record out of a history.
    ShortHistory,
    /// Dates a history's records a second late.
    ForeignTimes,
    /// Serves histories one record at a time, which is no lie.
    PagesOfOne,
    /// Serves the first record of a history whichever was asked for, and says that there are more.
    RepeatedPage,
    /// Serves the first record of a history, and says that there are no more.
    FirstPageOnly,
    /// Says of every identity, and of every entry of a group log, that it can't be looked up now.
    NoLookups,
    /// Proves with a block that never was, under a certificate in which it signs for all.
    ForgedFinality,
    /// Proves with a block of a network of its own, in which it is the only validator.
    ForeignFinality,
    /// Proves the first height, whatever height it was asked for.
    OldFinality,
    /// Says of every height that it is not final yet.
    NoFinality,
    /// Proves the acceptance of another envelope.
    OtherAcceptance,
    /// Takes records and receipts, and passes none on.
    Swallowed,
    /// Says that the ledger rejected a record.
    FalseRejection,
    /// Gets what is submitted onto the ledger, and says only then that it took it.
    LateGateway,
    /// Gets what is submitted onto the ledger, and then refuses it.
    DeniedSubmission,
}
