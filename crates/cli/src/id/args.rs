//! The command line of `tokenim id`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tokenim_client::{DeviceId, IdentityId};
use tokenim_wire::Digest;

use crate::args::{DeviceArgs, FolderArgs, NetworkArgs, PassphraseArgs};

#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    #[command(subcommand)]
    pub(crate) what: IdCommand,
}

/// Where the words come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct WordsArgs {
    /// A file with the 24 words, or - for standard input [default: asked for, not shown].
    #[arg(long, value_name = "FILE")]
    pub(crate) words_from: Option<PathBuf>,
}

/// The second words, if there are any.
#[derive(Debug, Clone, Args)]
pub(crate) struct NextWordsArgs {
    /// A file with the second 24 words, for an identity that was made with a second phrase.
    #[arg(long, value_name = "FILE")]
    pub(crate) next_words_from: Option<PathBuf>,
}

/// A folder that becomes a device's.
#[derive(Debug, Args)]
pub(crate) struct FreshArgs {
    /// The network's configuration: the only root of trust, so get it from someone you trust.
    #[arg(long, value_name = "GENESIS")]
    pub(crate) network: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
    /// Write the words to a new file, readable by you alone, instead of the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_to: Option<PathBuf>,
    /// Make second words too, kept in another place, with which stolen first ones are replaced.
    #[arg(long)]
    pub(crate) second_phrase: bool,
    /// Write the second words to a new file.
    #[arg(long, value_name = "FILE", requires = "second_phrase")]
    pub(crate) next_words_to: Option<PathBuf>,
    /// Print one JSON object, words included unless they go to a file.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
    #[command(flatten)]
    pub(crate) words: WordsArgs,
    /// The identity, where the words alone don't give it: it was recovered, or has second words.
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) identity: Option<IdentityId>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoveryArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    #[command(flatten)]
    pub(crate) words: WordsArgs,
    #[command(flatten)]
    pub(crate) next_words: NextWordsArgs,
    /// How many keys there are, 1 to 16.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) keys: u8,
    /// How many of them recover the identity.
    #[arg(long, value_name = "T", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) threshold: u8,
    /// A folder for the keys, one file each; give each to somebody else.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The identity.
    #[arg(value_name = "IDENTITY")]
    pub(crate) identity: IdentityId,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// A file with a recovery key; name as many as are needed.
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
    /// Write the new words to a new file, readable by you alone, instead of the terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) words_to: Option<PathBuf>,
    /// Print one JSON object, words included unless they go to a file.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the root key says, or the words behind it.
#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    #[command(flatten)]
    pub(crate) folder: FolderArgs,
    #[command(flatten)]
    pub(crate) words: WordsArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NextRootArgs {
    #[command(flatten)]
    pub(crate) root: RootArgs,
    #[command(flatten)]
    pub(crate) next_words: NextWordsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The device, as `id show` names it.
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DeviceId,
    #[command(flatten)]
    pub(crate) root: RootArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Another identity.
    #[arg(value_name = "IDENTITY")]
    pub(crate) identity: Option<IdentityId>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdCommand {
    /// Make an identity and put it on the ledger.
    #[command(after_help = "\
Examples:
  tokenim id new --network net/genesis.tim
  tokenim id new --network net/genesis.tim --words-to words.txt
  tokenim id new --network net/genesis.tim --second-phrase

The 24 words are shown once and kept nowhere. Whoever has them has the identity.")]
    New(NewArgs),
    /// Make this folder another device of an identity, from its words.
    #[command(after_help = "\
Examples:
  tokenim id restore --network net/genesis.tim
  tokenim id restore --network net/genesis.tim --words-from words.txt --dir phone
  tokenim id restore --network net/genesis.tim --identity tim1…

The words alone give the name of an identity that has no second words and was not recovered; else name it with --identity.
Nothing is made if the name that the words give is not on the ledger and none is named.")]
    Restore(RestoreArgs),
    /// Check that the words you wrote down give this identity back.
    #[command(after_help = "\
The words are kept nowhere, so they can't be shown again: this reads them and says whose they are. Without a folder or a
network it says what the words give: alone the name of an identity without second words, else the two together.")]
    Backup(NextRootArgs),
    /// Put the identity of a folder on the ledger, if `id new` could not.
    Register {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the identity of a folder, or what the ledger proves about another one.
    #[command(after_help = "\
Examples:
  tokenim id show
  tokenim id show tim1…")]
    Show {
        /// Another identity.
        #[arg(value_name = "IDENTITY")]
        identity: Option<IdentityId>,
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show every record of an identity since it began, proved.
    History(HistoryArgs),
    /// Revoke a device for good: a lost phone, or this one.
    Revoke(RevokeArgs),
    /// Make recovery keys: some of them together give the identity a new root, whoever has its words.
    #[command(after_help = "\
Example:
  tokenim id recovery --keys 3 --threshold 2 --out keys
  (then give keys/recovery-1.txt to one friend, keys/recovery-2.txt to another, …)")]
    Recovery(RecoveryArgs),
    /// Give an identity new words, by its recovery keys; this folder becomes its only device.
    #[command(after_help = "\
Example:
  tokenim id recover tim1… --network net/genesis.tim --key recovery-1.txt --key recovery-3.txt")]
    Recover(RecoverArgs),
    /// Replace the root key by the next one: the first words were seen by somebody. Takes effect with `id complete`.
    Rotate(NextRootArgs),
    /// Ask to end the identity. Takes effect with `id complete`.
    Deactivate(RootArgs),
    /// Drop what is pending: you did not ask for it.
    Cancel(NextRootArgs),
    /// Carry out what is pending, once the recovery window has passed.
    Complete(CompleteArgs),
    /// Link accounts of blockchains to the identity.
    Link {
        #[command(subcommand)]
        what: LinkCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Print what the account's wallet has to sign.
    #[command(after_help = "\
Example:
  tokenim id link text eip155:1:0x6df2Ced0A734fcbA261b4F65dBda54Ff2fDD65DA --out link.json
  (have the text signed, then)
  tokenim id link add link.json SIGNATURE")]
    Text {
        /// The account, as CAIP-10 names it: chain and address.
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        folder: FolderArgs,
        /// Where to keep the statement until it is signed; a new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a signed link on the ledger, as a commitment that shows nothing.
    Add {
        /// What `id link text` wrote.
        #[arg(value_name = "FILE")]
        statement: PathBuf,
        /// The wallet's answer.
        #[arg(value_name = "SIGNATURE")]
        signature: String,
        #[command(flatten)]
        root: RootArgs,
    },
    /// List the links that this folder can show.
    List {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
    /// Show a link to somebody, as a message.
    Show {
        /// The link, as `id link list` names it.
        #[arg(value_name = "LINK")]
        link: Digest,
        /// To whom.
        #[arg(value_name = "IDENTITY")]
        to: IdentityId,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Take a link back from the ledger. Whoever was shown it has seen it.
    Remove {
        /// The link, as `id link list` names it.
        #[arg(value_name = "LINK")]
        link: Digest,
        #[command(flatten)]
        root: RootArgs,
    },
}
