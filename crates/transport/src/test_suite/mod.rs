//! With this a network proves that it keeps the promises of the traits.
//!
//! Implement [`Harness`] and let [`transport_test_suite!`](crate::transport_test_suite) write one test per case:
//!
//! ```ignore
//! tokenim_transport::transport_test_suite!(my_block_on, MyHarness::new());
//! ```
//!
//! Each case is also a public function, which panics where a promise is broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a panic"
)]

mod connections;
mod limits;
mod streams;

pub use connections::*;
pub use limits::*;
pub use streams::*;

use crate::{Bytes, Connection, Limits, RecvStream, SendStream, Transport, TransportError};
use alloc::{string::String, vec::Vec};
use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use futures::{
    StreamExt,
    future::{Either, join, select},
    stream::FuturesUnordered,
};

/// What the suite needs to know of a network.
pub trait Harness {
    /// The network.
    type Transport: Transport;

    /// Starts the host of this number: always with the same key, and after it was closed or crashed at the same address.
    /// Gives the endpoint and the address to dial.
    fn start(&self, host: u8, limits: Limits) -> impl Future<Output = (Self::Transport, String)>;

    /// Lets this host die without a word to anyone.
    fn crash(&self, host: u8) -> impl Future<Output = ()>;

    /// Lets time pass.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()>;
}

/// Writes one `#[test]` per case of the suite.
///
/// `$block_on` runs a future to its end, `$harness` makes a fresh [`Harness`](crate::test_suite::Harness).
#[macro_export]
macro_rules! transport_test_suite {
    ($block_on:expr, $harness:expr) => {
        $crate::transport_test_suite! { @cases $block_on, $harness;
            both_sides_know_the_peer
            a_dial_that_meets_another_key_fails
            nobody_there
            close_is_seen_on_both_sides
            everything_that_waits_ends_with_the_connection
            the_last_handle_closes
            a_closed_endpoint_is_closed
            a_closed_endpoint_starts_again_at_its_address
            a_crashed_host_starts_again_at_its_address
            an_idle_connection_lives
            request_and_response
            request_and_response_through_the_erased_mirror
            many_streams_at_once
            half_close
            bytes_keep_their_order
            reset_is_seen
            stop_is_seen
            a_dropped_writer_is_no_end
            a_dropped_reader_stops_the_writer
            dropped_reads_lose_nothing
            a_dropped_write_is_noticed
            acknowledged_is_there
            oversize_is_refused
            a_frame_may_not_end_early
            a_reader_that_does_not_read_stalls_the_writer
            too_many_streams_wait
            a_flood_is_noticed_by_nobody_else
            silence_ends_a_connection_and_no_other
            a_stream_that_stands_still_times_out
            connections_are_capped
            the_newest_connection_of_a_peer_wins
            a_host_that_takes_nobody_refuses
        }
    };
    (@cases $block_on:expr, $harness:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $block_on(async { $crate::test_suite::$case(&$harness).await });
            }
        )*
    };
}

/// The longest that anything may take that should happen at once; a busy machine needs room.
const SOON: Duration = Duration::from_secs(30);

/// Limits small enough to reach, and patient enough for a busy machine.
fn small() -> Limits {
    Limits {
        connections_max: 16,
        connections_per_peer_max: 4,
        connections_per_address_max: 64,
        handshakes_max: 8,
        streams_per_connection_max: 8,
        stream_window_bytes: 64 * 1024,
        connection_window_bytes: 256 * 1024,
        send_window_bytes: 256 * 1024,
        idle_timeout: Duration::from_secs(3),
        keep_alive: Duration::from_millis(500),
        handshake_timeout: Duration::from_secs(3),
        stream_idle_timeout: Duration::from_secs(20),
    }
}

/// Runs `work` and panics if it takes longer than `limit`.
async fn within<H: Harness, T>(harness: &H, limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match select(pin!(work), pin!(harness.sleep(limit))).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => panic!("{what} took longer than {limit:?}"),
    }
}

/// Whether `work` is still not done after `time`.
async fn still_waits<H: Harness, T>(harness: &H, time: Duration, work: impl Future<Output = T>) -> bool {
    matches!(select(pin!(work), pin!(harness.sleep(time))).await, Either::Right(_))
}

/// Runs `work` to its end while `background` goes on, which never has to end.
async fn beside<T>(background: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    match select(pin!(work), pin!(background)).await {
        Either::Left((result, _)) => result,
        Either::Right(((), work)) => work.await,
    }
}

/// Polls a future once and drops it; the result if it was ready.
async fn once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// A connection seen from both of its sides.
async fn connect<H: Harness>(
    harness: &H,
    client: &H::Transport,
    server: &H::Transport,
    address: &str,
) -> (
    <H::Transport as Transport>::Connection,
    <H::Transport as Transport>::Connection,
) {
    let both = join(client.dial(server.local(), address), server.accept());
    let (dialled, accepted) = within(harness, SOON, "connecting", both).await;
    (
        dialled.expect("the dial succeeds"),
        accepted.expect("the endpoint is open"),
    )
}

/// A client and a server with these limits, connected: both endpoints, both ends.
async fn pair<H: Harness>(
    harness: &H,
    limits: Limits,
) -> (
    (H::Transport, <H::Transport as Transport>::Connection),
    (H::Transport, <H::Transport as Transport>::Connection),
) {
    let (client, _) = harness.start(1, limits.clone()).await;
    let (server, address) = harness.start(2, limits).await;
    let (dialled, accepted) = connect(harness, &client, &server, &address).await;
    ((client, dialled), (server, accepted))
}

/// Sends back what comes on every stream of a connection, until the connection ends.
async fn echo<C: Connection>(connection: C) {
    type Answer<'a> = Pin<alloc::boxed::Box<dyn Future<Output = ()> + 'a>>;
    let mut answers: FuturesUnordered<Answer<'_>> = FuturesUnordered::new();
    loop {
        let accepted = if answers.is_empty() {
            connection.accept().await
        } else {
            match select(pin!(connection.accept()), answers.next()).await {
                Either::Left((accepted, _)) => accepted,
                Either::Right(_) => continue,
            }
        };
        let Ok((mut send, mut recv)) = accepted else { return };
        answers.push(alloc::boxed::Box::pin(async move {
            while let Ok(Some(bytes)) = recv.read(16 * 1024).await {
                if send.write(bytes).await.is_err() {
                    return;
                }
            }
            let _ = send.finish();
        }));
    }
}

/// Sends `question` on a stream of its own and gives back all that comes.
async fn ask<C: Connection>(connection: &C, question: &[u8]) -> Result<Bytes, TransportError> {
    let (mut send, mut recv) = connection.open().await?;
    let write = async {
        send.write(Bytes::copy_from_slice(question)).await?;
        send.finish()
    };
    let (written, answer) = join(write, recv.read_to_end(question.len().max(1))).await;
    written.and(answer)
}

/// Bytes that show where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8)
        .collect()
}
