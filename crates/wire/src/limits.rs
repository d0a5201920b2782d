//! Every named limit of the protocol, in one place; the unit is the last or next to last word of the name.
//!
//! A limit is checked by whoever takes bytes from outside, before it allocates for them, and by whoever makes such
//! bytes, so that nothing is produced that a peer refuses. Changing one changes the protocol.

/// One kibibyte, in bytes.
const KIB: usize = 1024;
/// One mebibyte, in bytes.
const MIB: usize = 1024 * KIB;

/// Bytes of one sealed envelope: 64 KiB of padded content and 2 KiB of room for its header.
pub const ENVELOPE_BYTES_MAX: usize = 66 * KIB;
/// Bytes of the body of one message before sealing: 60 KiB of text and 1 KiB of room for its framing.
pub const MESSAGE_BODY_BYTES_MAX: usize = 61 * KIB;
/// Seconds between the sealing of an envelope and its expiry: 30 days.
pub const ENVELOPE_LIFETIME_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// Bytes of the public key of an envelope suite (X-Wing, the longest: 1,184 + 32).
pub const ENVELOPE_KEY_BYTES_MAX: usize = 1216;

/// Seconds by which two honest clocks may differ.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 120;
/// Seconds between now and the expiry that a capability request may name.
pub const REQUEST_LIFETIME_SECONDS_MAX: u64 = 300;

/// Bytes of the body of one stream frame: a block and 64 KiB around it.
pub const FRAME_BYTES_MAX: usize = MIB + 64 * KIB;

/// Bytes of one encoded block.
pub const BLOCK_BYTES_MAX: usize = MIB;
/// Transactions in one block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 4096;
/// Bytes of one encoded transaction.
pub const TRANSACTION_BYTES_MAX: usize = 64 * KIB;
/// Quorum receipts committed by one anchor transaction.
pub const ANCHOR_LEAVES_MAX: usize = 1024;
/// Transactions of one sponsor in one block.
pub const SPONSOR_TRANSACTIONS_PER_BLOCK_MAX: usize = 16;
/// Heights between now and the last height at which a transaction may be included.
pub const TRANSACTION_LIFETIME_HEIGHTS_MAX: u64 = 1024;

/// Devices in the state of one identity, revoked ones included.
pub const DEVICES_PER_IDENTITY_MAX: usize = 64;
/// Links to accounts in the state of one identity.
pub const LINKS_PER_IDENTITY_MAX: usize = 32;
/// Keys that may recover one identity.
pub const RECOVERY_KEYS_MAX: usize = 16;
/// Records that the root of one identity may sign; a recovery and a new root give it as many again.
pub const RECORDS_PER_ROOT_MAX: u64 = 1024;
/// Records beyond those of the root, kept free for the next root and for devices that leave.
pub const RECORDS_RESERVED: u64 = 128;
/// Bytes of one encoded signed record.
pub const RECORD_BYTES_MAX: usize = 5 * KIB;
/// Bytes of the encoded state of one identity.
pub const IDENTITY_STATE_BYTES_MAX: usize = 96 * KIB;

/// Milliseconds for which a network holds back a change of an identity's root at least: one second, for tests.
pub const RECOVERY_WINDOW_MILLIS_MIN: u64 = 1_000;
/// And at most: 30 days.
pub const RECOVERY_WINDOW_MILLIS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Records in one page of an identity's history.
pub const HISTORY_ENTRIES_MAX: usize = 64;

/// Registered nodes in a node set.
pub const NODES_MAX: usize = 1024;
/// Validators in a validator set.
pub const VALIDATORS_MAX: usize = 128;
/// Nodes that keep one tag.
pub const REPLICAS_MAX: usize = 5;
/// Bytes of a node's address in text.
pub const ADDRESS_BYTES_MAX: usize = 128;

/// Bytes of one finality certificate.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * KIB;
/// Headers in one proof of finality, from its subject to the certified descendant.
pub const FINALITY_CHAIN_MAX: usize = 64;

/// Transactions waiting in a mempool.
pub const MEMPOOL_TRANSACTIONS_MAX: usize = 4096;
/// Bytes of the transactions waiting in a mempool.
pub const MEMPOOL_BYTES_MAX: usize = 8 * MIB;
/// Transactions of one sponsor waiting in a mempool.
pub const MEMPOOL_TRANSACTIONS_PER_SPONSOR_MAX: usize = 16;

/// Envelopes in the answer to one read.
pub const READ_ITEMS_MAX: usize = 64;
/// Bytes of the envelopes in the answer to one read.
pub const READ_BYTES_MAX: usize = 512 * KIB;
/// Envelopes that one node keeps for one tag.
pub const MAILBOX_ENVELOPES_MAX: u64 = 65_536;
/// Bytes of the envelopes that one node keeps for one tag.
pub const MAILBOX_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of the secret in one keystore.
pub const KEYSTORE_SECRET_BYTES_MAX: usize = 4 * KIB;
/// Kibibytes of memory that opening a keystore may use.
pub const KEYSTORE_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Passes over that memory.
pub const KEYSTORE_PASSES_MAX: u32 = 16;
/// Lanes of that memory.
pub const KEYSTORE_LANES_MAX: u32 = 16;

/// Leading zero bits of the postage of a mailbox whose owner asks for nothing else: 4,096 hashes on average.
pub const POSTAGE_BITS_DEFAULT: u8 = 12;
/// Leading zero bits of postage that an owner may ask for: minutes of one core.
pub const POSTAGE_BITS_MAX: u8 = 32;
/// Hours by which the hour of postage may differ from the node's.
pub const POSTAGE_HOURS_SKEW_MAX: u64 = 1;
/// Seconds between the making of contact keys and their expiry: 30 days.
pub const CONTACT_KEYS_LIFETIME_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// Bytes of the encoded contact keys of a device, with their signature.
pub const CONTACT_KEYS_BYTES_MAX: usize = KIB + KIB / 2;
/// Key packages in the contact stock of a device.
pub const KEY_PACKAGES_MAX: usize = 32;
/// Bytes of one key package.
pub const KEY_PACKAGE_BYTES_MAX: usize = 4 * KIB;
/// Bytes of the encoded contact stock of a device: its keys, its packages and a little around them.
pub const CONTACT_STOCK_BYTES_MAX: usize = CONTACT_KEYS_BYTES_MAX + KEY_PACKAGES_MAX * KEY_PACKAGE_BYTES_MAX + KIB / 2;

/// Bytes of the name of an account of a chain.
pub const ACCOUNT_BYTES_MAX: usize = 128;
/// Bytes of a BIP-322 witness of an address of a single key.
pub const WITNESS_BYTES_MAX: usize = 112;
/// Bytes of a wallet's signature in text.
pub const WALLET_SIGNATURE_TEXT_BYTES_MAX: usize = 256;
/// Bytes of the encoded opening of an account link.
pub const LINK_OPENING_BYTES_MAX: usize = 384;

/// Children of one entry of a group log.
pub const GROUP_CHILDREN_MAX: usize = 8;
/// Bytes of the box that says to the members of a session who made a commit.
pub const AUTHOR_BOX_BYTES_MAX: usize = 128;
/// Envelopes that hold one commit of a session: with 64 KiB each, what a commit of a session with all its leaves needs.
pub const GROUP_COMMIT_PARTS_MAX: usize = 8;
/// Bytes of one encoded update of a group log: a child with a receipt for each part of its commit.
pub const GROUP_UPDATE_BYTES_MAX: usize = 7 * KIB;
/// Bytes of one encoded entry of a group log.
pub const GROUP_NODE_BYTES_MAX: usize = 6 * KIB;
/// Seconds for which a commit is kept at least from when the ledger takes its entry: 14 days.
pub const GROUP_COMMIT_KEPT_SECONDS_MIN: u64 = 14 * 24 * 60 * 60;
/// Updates of group logs by one sponsor in one block, of its [`SPONSOR_TRANSACTIONS_PER_BLOCK_MAX`]; a child counts as many
/// times as its commit has parts.
pub const SPONSOR_GROUP_UPDATES_PER_BLOCK_MAX: usize = 12;

/// Bytes of what an epoch of a session wraps into one envelope: 64 KiB of padded content, less its length.
pub const SESSION_WRAPPED_BYTES_MAX: usize = 64 * KIB - 4;
/// Bytes of the encoded body of one message of a session: 60 KiB of text and 1 KiB of room around it.
pub const SESSION_BODY_BYTES_MAX: usize = 61 * KIB;
/// Bytes of the text of one message of a session.
pub const SESSION_TEXT_BYTES_MAX: usize = 60 * KIB;
/// Bytes of one reaction: an emoji with all its joiners and modifiers.
pub const SESSION_REACTION_BYTES_MAX: usize = 64;
/// Messages that one message says are delivered or read.
pub const SESSION_MARKS_MAX: usize = 256;
/// Bytes of the name of an extension of message content.
pub const SESSION_EXTENSION_NAME_BYTES_MAX: usize = 64;
/// Bytes of the body of an extension of message content.
pub const SESSION_EXTENSION_BYTES_MAX: usize = 60 * KIB;
/// Bytes of one attachment: 100 MiB.
pub const ATTACHMENT_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Bytes of the file name of an attachment.
pub const ATTACHMENT_NAME_BYTES_MAX: usize = 255;
/// Bytes of the media type of an attachment.
pub const ATTACHMENT_TYPE_BYTES_MAX: usize = 127;
/// Bytes of the name of a group.
pub const GROUP_NAME_BYTES_MAX: usize = 128;
/// Members of a group that have another role than that of a plain member, those who are leaving included.
pub const GROUP_ROLES_MAX: usize = 64;
/// Of them, those who are given one: the rest is kept for members who leave.
pub const GROUP_ROLES_GIVEN_MAX: usize = 48;
/// Bytes of the encoded context of a session.
pub const GROUP_CONTEXT_BYTES_MAX: usize = 3 * KIB;
/// Seconds after which messages may disappear at most: 365 days.
pub const DISAPPEAR_SECONDS_MAX: u32 = 365 * 24 * 60 * 60;
/// Seconds between the making of a code for linking a device and its expiry: ten minutes.
pub const LINK_CODE_LIFETIME_SECONDS_MAX: u64 = 10 * 60;
/// Bytes of one message by which a device is linked.
pub const LINK_MESSAGE_BYTES_MAX: usize = 2 * KIB;
/// Times that a device which is being linked agrees to its place in the identity's chain.
pub const LINK_ASKS_MAX: u8 = 8;

/// Seconds for which a link by which people ask to be let into a group is good: 30 days.
pub const INVITE_LIFETIME_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// Links into one group that a member keeps, those included that are revoked and have not expired.
pub const INVITE_LINKS_MAX: usize = 16;
/// People who have asked a member to be let into one group and have no answer.
pub const JOIN_REQUESTS_MAX: usize = 64;
/// People whom a member has refused to let into one group and does not hear again.
pub const JOIN_REFUSED_MAX: usize = 512;
/// Groups into which a device has asked to be let and is not.
pub const JOINS_MAX: usize = 64;
/// Messages on one page of history.
pub const HISTORY_PAGE_MESSAGES_MAX: usize = 256;
/// Pages of history that one device hands over at a time, and that one takes in all: 61 MiB.
pub const HISTORY_PAGES_MAX: u16 = 1024;
/// Pages of history that are on their way at a time, and that a device keeps until it knows its owner's devices.
pub const HISTORY_PAGES_IN_FLIGHT_MAX: usize = 4;
/// Seconds after its first step in which a device takes history: 30 days.
pub const HISTORY_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

/// Leaves of a session: the devices of 1,000 members.
pub const SESSION_LEAVES_MAX: usize = 2048;
/// Leaves up to which a post-quantum session is added to: a commit, 1.2 KiB for each of them at worst, then still fits into
/// its parts.
pub const SESSION_LEAVES_POST_QUANTUM_MAX: usize = 384;
/// Members of a session up to which it is post-quantum by default.
pub const SESSION_POST_QUANTUM_MEMBERS_MAX: usize = 64;
/// Bytes of the state of one session: its tree, its secrets, its past epochs.
pub const SESSION_STATE_BYTES_MAX: usize = 16 * MIB;
/// Sessions of one device.
pub const SESSIONS_MAX: usize = 4096;
/// Sessions that two people have with each other at a time, all but one of which are being closed.
pub const SESSIONS_DIRECT_MAX: usize = 8;
/// Changes of a session that a device has yet to bring about, devices of members and other lists of that kind.
pub const SESSION_WISHES_MAX: usize = 2048;
/// Devices that one commit adds to a classical session.
pub const SESSION_COMMIT_ADDS_MAX: usize = 128;
/// Devices that one commit adds to a post-quantum session, whose key packages and paths are larger.
pub const SESSION_COMMIT_ADDS_POST_QUANTUM_MAX: usize = 32;
/// Identities that are looked up at a time so that they can be invited to one session.
pub const SESSION_LOOKUPS_MAX: usize = 64;
/// Devices that wait for being re-added to one session on their request.
pub const SESSION_READDS_MAX: usize = 64;
/// Messages of one conversation that wait to be sent.
pub const SESSION_QUEUE_MAX: usize = 4096;
/// Messages of one session that are on their way into its mailbox at a time.
pub const SESSION_IN_FLIGHT_MAX: usize = 64;
/// Epochs before the current one of which messages still open.
pub const SESSION_PAST_EPOCHS_MAX: usize = 8;
/// Keys of messages of a session that are kept for messages that come late, of all authors in one epoch.
pub const SESSION_SKIPPED_KEYS_MAX: u32 = 4096;
/// Seconds for which messages of an epoch that is over still open, if not too many epochs follow: an hour.
pub const SESSION_PAST_SECONDS: u64 = 60 * 60;
/// Heights after the removal of a member, or the revocation of a device, up to which what it sent before is still taken.
pub const SESSION_GRACE_HEIGHTS: u64 = 600;
/// Seconds for which a look at the newest epoch on the ledger is good for sending.
pub const SESSION_SYNC_SECONDS_MAX: u64 = 60;
/// Seconds for which a look-up of the members' devices is good while nothing is said, for up to 16 members; longer with more.
pub const SESSION_PEER_SECONDS_MAX: u64 = 600;
/// Messages of one session that wait for a look-up of their author.
pub const SESSION_WAITING_MAX: usize = 256;
/// Invitations of one device whose Welcome has not come.
pub const SESSION_INVITATIONS_MAX: usize = 256;
/// Seconds after an invitation without a Welcome, or after a request without an answer, before a device asks; doubled each
/// time.
pub const SESSION_ASK_SECONDS: u64 = 60;
/// Requests of a device to be re-added to one session before it leaves it to its owner.
pub const SESSION_ASKS_MAX: u8 = 8;
/// Seconds between two times that a device is re-added to one session on its request.
pub const SESSION_READD_SECONDS_MIN: u64 = 120;
/// Bytes of a Welcome that goes along in the note to each device; a longer one is stored once for all.
pub const SESSION_WELCOME_NOTE_BYTES_MAX: usize = 8 * KIB;
/// Envelopes that hold one Welcome.
pub const SESSION_WELCOME_PARTS_MAX: usize = 64;
/// Stored Welcomes that a device reads at a time.
pub const SESSION_WELCOMES_MAX: usize = 8;
/// Welcomes of one other identity that wait for the ledger to show their entries.
pub const SESSION_WELCOMES_HELD_MAX: usize = 16;
/// Members of a conversation up to which receipts are sent.
pub const SESSION_RECEIPT_MEMBERS_MAX: usize = 32;
/// Seconds for which a hint that somebody is typing is worth sending and showing.
pub const SESSION_TYPING_SECONDS: u64 = 15;
/// Key packages of each suite that a device keeps in its stock.
pub const SESSION_STOCK: usize = 8;
/// Seconds for which a key package is used: 30 days.
pub const SESSION_PACKAGE_LIFETIME_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Seconds for which a key package of the stock opens more Welcomes after its first one. In half of it the stock has another.
pub const SESSION_PACKAGE_REUSE_SECONDS: u64 = 60 * 60;
/// Seconds for which a session that lost against another one of the same two people is still read: 7 days.
pub const SESSION_CLOSING_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Bytes of the certificate by which a device vouches for its leaf of a session.
pub const SESSION_LEAF_BYTES_MAX: usize = 192;
/// Seconds between the making of such a certificate and its expiry: 90 days.
pub const SESSION_LEAF_LIFETIME_SECONDS_MAX: u64 = 90 * 24 * 60 * 60;
/// Bytes of one MLS message: a commit or a Welcome of a session with all its leaves.
pub const SESSION_MLS_BYTES_MAX: usize = 4 * MIB;
/// Bytes of what a client's owner calls somebody.
pub const CONTACT_NAME_BYTES_MAX: usize = 64;
/// People whom a client's owner can give names.
pub const CONTACT_NAMES_MAX: usize = 4_096;
