//! What can go wrong for a client, by whose doing.

use std::path::PathBuf;

use tokenim_envelope::{MessageId, SealError};
use tokenim_identity::{DeviceId, IdentityId, KeystoreError, NodeKey, RecordError, RecoveryError};
use tokenim_ledger::Rejection;
use tokenim_mailbox::ContactError;
use tokenim_rpc::RpcError;
use tokenim_session::conversation::link::LinkError;
use tokenim_transport::TransportError;
use tokenim_wire::{DecodeError, EncodeError};

use super::chat::ChatError;
use crate::step::name::NameError;

/// Why an operation of the client failed: in one line, what was wrong and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    // What was asked for can't be done.
    /// The ledger proves that there is no such identity.
    #[error("{0} is not registered on this network: check the address, or have its owner register it")]
    UnknownIdentity(IdentityId),
    /// The identity has no device that is not revoked.
    #[error("{0} has no active device: its owner has to add one")]
    NoActiveDevice(IdentityId),
    /// The words don't give the identity's root key.
    #[error("these words are not those of {0} now: use the ones that came with its last change of root")]
    OtherWords(IdentityId),
    /// The ledger proves that there is no identity of the name that the words alone give, and no other was named.
    #[error(
        "the words alone give {0}, which is not registered on this network: name your identity; its root was replaced, or \
         made with a second phrase"
    )]
    NameNeeded(IdentityId),
    /// The owner blocks the identity.
    #[error("you keep {0} out: let it in before you write to it")]
    Blocked(IdentityId),
    /// A device of the identity has an envelope key of a lower suite than seen before.
    #[error(
        "device {device} of {identity} asks for weaker encryption than was seen of that identity before: nothing is sent \
         to it; ask its owner"
    )]
    SuiteLowered {
        /// The identity.
        identity: IdentityId,
        /// Its device.
        device: DeviceId,
    },
    /// What the other side shows is not what this side computes.
    #[error("{identity} is not verified: {why}")]
    NotVerified {
        /// The identity.
        identity: IdentityId,
        /// In what it differs.
        why: String,
    },
    /// The owner can't call anybody so.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The recovery keys are too few, or others.
    #[error("the identity can't be recovered: {0}")]
    Recovery(#[from] RecoveryError),
    /// A conversation does not do what was asked.
    #[error("{0}")]
    Chat(#[from] ChatError),
    /// The state of a conversation is at fault.
    #[error("a conversation failed ({0}): nothing was changed; start another one if it persists")]
    Session(String),
    /// The contact keys of this device can't be made.
    #[error("the contact key can't be made: {0}")]
    Contact(#[from] ContactError),
    /// A code for linking a device is not good, or what the other device shows does not fit it.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// More than one device has answered a code.
    #[error(
        "the code was answered before, by another of your devices or by somebody who saw it: no device was added; have the \
         new device make another code"
    )]
    LinkTaken,
    /// The other side said no, or gave up.
    #[error("the other device does not go on: no device was added; begin anew if you want it")]
    LinkRefused,
    /// Who answered a code is none of the identity's devices.
    #[error("who answered the code is no device of {0}: this device joins nobody; make another code")]
    LinkAnswer(IdentityId),
    /// The client's own identity is not on the ledger yet.
    #[error("this identity is not registered yet: register it first")]
    NotRegistered,
    /// No message with this id was sent or received here.
    #[error("there is no message {0} in this folder: list the messages for their ids")]
    UnknownMessage(MessageId),
    /// The message can't be sealed.
    #[error("the message can't be sealed: {0}")]
    Seal(#[from] SealError),
    /// The passphrase is wrong, or the keystore is damaged.
    #[error("wrong passphrase, or the keystore is damaged: try again, or restore the identity from its words")]
    WrongPassphrase,
    /// The operation needs secrets, but the client was opened without the passphrase.
    #[error("this needs the device's keys: open the client with its passphrase")]
    Locked,

    // The network.
    /// Nobody answered.
    #[error("none of the network's {nodes} nodes answered ({last}): check the connection and that nodes are running")]
    Unreachable {
        /// How many were asked.
        nodes: usize,
        /// What the last one said.
        last: String,
    },
    /// Nodes answer, but with old blocks.
    #[error(
        "the newest final block is {age_seconds} s old, so the network makes no progress: wait until enough of its \
         validators run again"
    )]
    NotProgressing {
        /// Its age in seconds.
        age_seconds: u64,
    },
    /// No quorum of receipts in time; the message stays in the outbox.
    #[error(
        "only {receipts} of the {wanted} nodes that are needed confirmed the message ({last}): it is kept and will be \
         sent again, nothing is lost"
    )]
    NotAccepted {
        /// The message.
        message: MessageId,
        /// Receipts of the device that has the fewest.
        receipts: usize,
        /// Receipts that make a quorum.
        wanted: usize,
        /// What the last failing node said.
        last: String,
    },
    /// The proof is not there yet.
    #[error("message {0} is not proved on the ledger yet: try again in a few seconds")]
    NotProvedYet(MessageId),
    /// A node refused a request that no other node will take.
    #[error("node {node} refused: {error}")]
    Refused {
        /// The node.
        node: NodeKey,
        /// Its refusal.
        error: RpcError,
    },
    /// The ledger rejected a record.
    #[error("the ledger rejected the record: {0}")]
    Rejected(Rejection),
    /// The network of this machine.
    #[error("{0}")]
    Transport(#[from] TransportError),

    // This machine.
    /// There is no client in the folder.
    #[error("there is no identity in {}: create one, or name another folder", .0.display())]
    NoClient(PathBuf),
    /// The device of the folder has agreed to join an identity, and was not seen on the ledger yet.
    #[error("the device in {} waits to be linked: go on with linking it", .0.display())]
    NotLinked(PathBuf),
    /// Another identity answers than the one that the folder's device has agreed to join.
    #[error("the device in {} waits to be linked to {identity}: name another folder for another identity", .folder.display())]
    LinkedElsewhere {
        /// The folder.
        folder: PathBuf,
        /// The identity that it has agreed to join.
        identity: IdentityId,
    },
    /// There is a client in the folder already.
    #[error("{} already holds an identity: nothing was changed; name another folder", .0.display())]
    ClientExists(PathBuf),
    /// The folder belongs to another network.
    #[error("{} belongs to another network than the one given: name another folder or network", .0.display())]
    ForeignFolder(PathBuf),
    /// A file is damaged.
    #[error("{} is damaged ({what}): restore it from a copy, or restore the identity from its words elsewhere", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Not a network configuration.
    #[error("{} is no network configuration ({what}): get genesis.tim from the network's operator again", .path.display())]
    BadNetworkFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk is full.
    #[error("the disk with {} is full: free some space and try again, nothing was changed", .0.display())]
    DiskFull(PathBuf),
    /// Another program has the files open in a way that excludes this one.
    #[error("{} is in use by another program: stop it and try again", .0.display())]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("{}: {error}: check the path and its permissions", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// The local store failed in another way.
    #[error("the local store failed ({0}): try again, and check the disk if it persists")]
    Store(String),
    /// The system's random numbers failed.
    #[error("the operating system gave no random numbers: nothing was changed")]
    Random,

    // What no input should cause.
    /// A keystore could not be made.
    #[error("the keystore could not be made: {0}")]
    Keystore(KeystoreError),
    /// A record could not be made.
    #[error("the record could not be made: {0}")]
    Record(#[from] RecordError),
    /// An own value does not encode.
    #[error("a value could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// An own value does not decode.
    #[error("a value could not be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The client was closed while the operation ran.
    #[error("the client was closed")]
    Closed,
}
