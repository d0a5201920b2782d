//! Properties of messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use tokenim_identity::IdentityId;
use tokenim_mailbox::group::{GroupStart, GroupUpdate};
use tokenim_mailbox::{Incarnation, LogEntry, MailboxTag};
use tokenim_rpc::{
    AcceptanceOf, AnchorStatus, Blame, ChangeCursor, Changes, Copied, ErrorCode, Gossiped, LogPage, NodeRequest,
    NodeResponse, NodeState, NodeStatus, Published, Request, Response, RpcError, Submitted, TransactionStatus,
};
use tokenim_wire::{
    BoundedBytes, BoundedString, BoundedVec, DecodeError, EnvelopeId, Height, NetworkId, Object, SetEpoch, UnixMillis,
    UnixSeconds,
};

/// A node key: of a point, so not any bytes.
fn node_key() -> impl Strategy<Value = tokenim_identity::NodeKey> {
    any::<[u8; 32]>().prop_map(|seed| tokenim_identity::NodeSigningKey::from_seed(seed).verifying_key())
}

fn cursor() -> impl Strategy<Value = ChangeCursor> {
    prop_oneof![
        Just(ChangeCursor::Start),
        any::<(u64, u64, [u8; 32])>().prop_map(|(boot, change, tag)| ChangeCursor::Listing {
            boot,
            change,
            after: MailboxTag::from_bytes(tag)
        }),
        any::<(u64, u64)>().prop_map(|(boot, change)| ChangeCursor::Since { boot, change }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let tag = any::<[u8; 32]>().prop_map(MailboxTag::from_bytes);
    let envelope = any::<[u8; 32]>().prop_map(EnvelopeId::from_bytes);
    prop_oneof![
        Just(Request::Status),
        Just(Request::NodeSet),
        any::<[u8; 32]>().prop_map(|id| Request::Lookup {
            identity: IdentityId::from_bytes(id)
        }),
        any::<[u8; 32]>().prop_map(|id| Request::TransactionStatus { id: id.into() }),
        (tag.clone(), envelope.clone(), any::<u32>()).prop_map(|(tag, envelope, wait_ms)| Request::Acceptance {
            of: AcceptanceOf::Envelope { tag, envelope },
            wait_ms
        }),
        any::<u64>().prop_map(|height| Request::Finality {
            height: Height::new(height)
        }),
        cursor().prop_map(|cursor| Request::Node(NodeRequest::Changes { cursor })),
        (tag.clone(), any::<u64>()).prop_map(|(tag, from)| Request::Node(NodeRequest::LogEntries { tag, from })),
        any::<([u8; 32], [u8; 32], u8, u32)>().prop_map(|(handle, entry, after, wait_ms)| Request::GroupNode {
            handle: handle.into(),
            entry: entry.into(),
            after,
            wait_ms
        }),
        (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(nonce, seed)| {
            let key = tokenim_identity::EpochSigningKey::from_seed(seed).verifying_key();
            Request::SubmitGroup(Box::new(GroupUpdate::Start(GroupStart { nonce, key })))
        }),
        (tag.clone(), any::<Option<u16>>()).prop_map(|(tag, suite)| Request::FetchContact { tag, suite }),
        (tag, envelope).prop_map(|(tag, envelope)| Request::Node(NodeRequest::Fetch { tag, envelope })),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let status = (node_key(), any::<([u8; 32], u64, u64, u64, u16, u16, u64)>(), ".{0,16}").prop_map(
        |(node, (network, height, time, epoch, nodes, peers, incarnation), software)| {
            Response::Status(Box::new(NodeStatus {
                software: BoundedString::try_from(software.as_str()).unwrap(),
                network: NetworkId::from_bytes(network),
                node,
                state: NodeState::NotProgressing,
                validator: height % 2 == 0,
                height: Height::new(height),
                time: UnixMillis::new(time),
                set_epoch: SetEpoch::new(epoch),
                nodes,
                peers,
                incarnation: Incarnation::new(incarnation),
                envelopes: time,
                bytes: height,
            }))
        },
    );
    let entry = any::<(u64, [u8; 32], u64)>().prop_map(|(index, envelope, expiry)| LogEntry {
        index,
        envelope: EnvelopeId::from_bytes(envelope),
        expiry: UnixSeconds::new(expiry),
    });
    let entries = proptest::collection::vec(entry, 0..20);
    let tags = proptest::collection::vec(any::<[u8; 32]>().prop_map(MailboxTag::from_bytes), 0..20);
    prop_oneof![
        (any::<u16>(), any::<u32>(), ".{0,300}").prop_map(|(code, wait, text)| RpcError::retry(
            ErrorCode::new(code),
            &text,
            wait
        )
        .into()),
        status,
        any::<([u8; 32], u64)>().prop_map(|(id, until)| Response::SubmitIdentity(Submitted {
            id: id.into(),
            valid_until: Height::new(until)
        })),
        Just(Response::TransactionStatus(TransactionStatus::Pending)),
        any::<([u8; 32], u64)>().prop_map(|(id, until)| Response::SubmitGroup(Submitted {
            id: id.into(),
            valid_until: Height::new(until)
        })),
        Just(Response::FetchContact(None)),
        any::<u64>().prop_map(|number| Response::PublishContact(Published { number })),
        any::<u64>().prop_map(|height| Response::Anchor(AnchorStatus::Final {
            height: Height::new(height)
        })),
        any::<u16>().prop_map(|taken| Response::Node(NodeResponse::Gossip(Gossiped { taken }))),
        (tags, cursor(), any::<bool>()).prop_map(|(tags, next, more)| Response::Node(NodeResponse::Changes(Changes {
            tags: BoundedVec::try_from(tags).unwrap(),
            next,
            more
        }))),
        (entries, any::<u64>(), any::<bool>()).prop_map(|(entries, next, more)| Response::Node(
            NodeResponse::LogEntries(LogPage {
                entries: BoundedVec::try_from(entries).unwrap(),
                next,
                more
            })
        )),
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|bytes| Response::Node(NodeResponse::Fetch(Copied {
            envelope: BoundedBytes::try_from(bytes).unwrap()
        }))),
    ]
}

proptest! {
    #[test]
    fn requests_come_back(request in request()) {
        let bytes = request.to_bytes().unwrap();
        prop_assert_eq!(Request::from_bytes(&bytes).unwrap(), request);
    }

    #[test]
    fn responses_come_back(response in response()) {
        let bytes = response.to_bytes().unwrap();
        prop_assert_eq!(Response::from_bytes(&bytes).unwrap(), response);
    }

    #[test]
    fn messages_cut_anywhere_are_refused(response in response(), at in any::<prop::sample::Index>()) {
        let bytes = response.to_bytes().unwrap();
        let end = at.index(bytes.len());
        prop_assert_eq!(Response::from_bytes(&bytes[..end]), Err(DecodeError::Truncated));
    }

    #[test]
    fn unknown_codes_decode(number in any::<u16>()) {
        let error = RpcError::new(ErrorCode::new(number), "later");
        let bytes = Response::from(error.clone()).to_bytes().unwrap();
        prop_assert_eq!(Response::from_bytes(&bytes).unwrap(), Response::Error(error));
        let known = ErrorCode::ALL.contains(&ErrorCode::new(number));
        prop_assert_eq!(known, ErrorCode::new(number).name() != "unknown");
        prop_assert_eq!(ErrorCode::new(number).blame() == Blame::Unknown, !(100..500).contains(&number));
    }

    #[test]
    fn texts_are_cut_between_characters(text in ".{0,400}") {
        let error = RpcError::new(ErrorCode::BUSY, &text);
        prop_assert!(text.starts_with(error.message.as_str()));
        prop_assert!(error.message.len() <= 256);
        prop_assert!(error.message.len() == text.len() || error.message.len() > 252);
    }

    #[test]
    fn waits_are_capped(wait_ms in any::<u32>()) {
        let of = AcceptanceOf::Envelope {
            tag: MailboxTag::from_bytes([0; 32]),
            envelope: EnvelopeId::from_bytes([0; 32]),
        };
        let asked = Request::Acceptance { of, wait_ms };
        prop_assert_eq!(asked.wait_ms(), wait_ms.min(300_000));
        let asked = Request::GroupNode {
            handle: [0; 32].into(),
            entry: [0; 32].into(),
            after: 0,
            wait_ms,
        };
        prop_assert_eq!(asked.wait_ms(), wait_ms.min(300_000));
    }
}
