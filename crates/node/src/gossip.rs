//! Passes transactions on to the other nodes, so that whoever leads next has them.

use crate::ledger::Ledger;
use crate::links::{Links, short};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokenim_identity::NodeKey;
use tokenim_ledger::Transaction;
use tokenim_rpc::limits::{GOSSIP_BYTES_MAX, GOSSIP_TRANSACTIONS_MAX};
use tokenim_rpc::{NodeRequest, Request};
use tokenim_wire::{BoundedVec, encoded_len};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

/// How often transactions that still wait are passed on again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a node may take to take them.
const PATIENCE: Duration = Duration::from_secs(2);
/// Gossips under way at one time; further ones are left to the next repetition.
const UNDER_WAY_MAX: usize = 64;

/// Passes on what comes out of `transactions` at once, and what still waits again from time to time, to those of
/// `recipients` that are connected.
pub(crate) async fn run(
    node: NodeKey,
    recipients: BTreeSet<NodeKey>,
    links: Links,
    ledger: Ledger,
    mut transactions: mpsc::UnboundedReceiver<Transaction>,
) {
    let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fresh = Vec::new();
    loop {
        tokio::select! {
            count = transactions.recv_many(&mut fresh, GOSSIP_TRANSACTIONS_MAX) => {
                if count == 0 {
                    return;
                }
                send(std::mem::take(&mut fresh), &recipients, &links, &under_way);
            }
            _ = again.tick() => {
                let waiting = ledger.waiting_of(&node);
                if !waiting.is_empty() {
                    send(waiting, &recipients, &links, &under_way);
                }
            }
        }
    }
}

/// Sends transactions to all recipients without waiting for any.
fn send(transactions: Vec<Transaction>, recipients: &BTreeSet<NodeKey>, links: &Links, under_way: &Arc<Semaphore>) {
    let connected = links.connected().borrow().clone();
    for request in requests(transactions) {
        let request = Arc::new(request);
        for peer in recipients.intersection(&connected) {
            let peer = *peer;
            let Ok(permit) = under_way.clone().try_acquire_owned() else {
                return;
            };
            let (links, request) = (links.clone(), request.clone());
            tokio::spawn(async move {
                let answer = links.call(&peer, &request, PATIENCE).await;
                if let Err(error) = answer.and_then(|answer| Ok(answer.into_gossiped()?)) {
                    tracing::debug!(peer = %short(&peer), %error, "a node did not take transactions");
                }
                drop(permit);
            });
        }
    }
}

/// Cuts transactions into requests of bounded size.
fn requests(transactions: Vec<Transaction>) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut part = BoundedVec::empty();
    let mut bytes = 0_usize;
    for transaction in transactions {
        let length = encoded_len(&transaction).unwrap_or(GOSSIP_BYTES_MAX);
        let full = part.len() == GOSSIP_TRANSACTIONS_MAX || bytes.saturating_add(length) > GOSSIP_BYTES_MAX;
        if full && !part.is_empty() {
            requests.push(Request::Node(NodeRequest::Gossip {
                transactions: std::mem::take(&mut part),
            }));
            bytes = 0;
        }
        bytes = bytes.saturating_add(length);
        // It was made to fit above.
        let _ = part.push(transaction);
    }
    if !part.is_empty() {
        requests.push(Request::Node(NodeRequest::Gossip { transactions: part }));
    }
    requests
}
