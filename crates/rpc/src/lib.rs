#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

extern crate alloc;

mod error;
mod kind;
pub mod limits;
mod request;
mod response;
mod stream;

pub use error::{AnswerError, Blame, ErrorCode, RpcError};
pub use kind::Kind;
pub use request::{AcceptanceOf, NodeRequest, PublishContact, Put, Read, Request};
pub use response::{
    AnchorStatus, ChangeCursor, Changes, Copied, FetchedContact, Gossiped, Item, LogPage, NodeResponse, NodeState,
    NodeStatus, Page, Published, Response, Submitted, TransactionStatus,
};
pub use stream::{HeaderError, StreamHeader, StreamKind, encode_answer, encode_call, parse_header};
