//! What only QUIC has: sockets, names, TLS, and strangers who speak it badly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};
use tokenim_identity::NodeSigningKey;
use tokenim_transport::{
    Bytes, Connection, Limits, PeerId, RecvStream, SendStream, Transport, TransportError, recv_frame, send_frame,
};
use tokenim_transport_quic::{QuicConnection, QuicTransport, TransportKey};
use tokio::time::timeout;
use zeroize::Zeroizing;

const SOON: Duration = Duration::from_secs(20);

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn limits() -> Limits {
    Limits {
        handshake_timeout: Duration::from_secs(5),
        keep_alive: Duration::from_millis(300),
        ..Limits::reference()
    }
}

fn host(number: u8) -> QuicTransport {
    QuicTransport::bind(Zeroizing::new([number; 32]), anywhere(), limits()).unwrap()
}

async fn connect(client: &QuicTransport, server: &QuicTransport) -> (QuicConnection, QuicConnection) {
    let address = server.local_address().to_string();
    let both = async { tokio::join!(client.dial(server.local(), &address), server.accept()) };
    let (dialled, accepted) = timeout(SOON, both).await.unwrap();
    (dialled.unwrap(), accepted.unwrap())
}

/// Answers on one stream after the other, until the connection ends.
async fn answer(connection: QuicConnection) {
    while let Ok((mut send, mut recv)) = connection.accept().await {
        if let Ok(Some(question)) = recv_frame(&mut recv, 1024).await {
            let _ = send_frame(&mut send, &question).await;
            let _ = send.finish();
        }
    }
}

async fn ask(connection: &QuicConnection) -> Result<Option<Vec<u8>>, TransportError> {
    let (mut send, mut recv) = connection.open().await?;
    send_frame(&mut send, b"hello").await?;
    send.finish()?;
    recv_frame(&mut recv, 1024).await
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let first = host(1);
    let second = QuicTransport::bind(Zeroizing::new([2; 32]), first.local_address(), limits());
    let address = first.local_address().to_string();
    assert_eq!(second.err(), Some(TransportError::AddressInUse { address }));
}

#[tokio::test]
async fn bad_limits_are_refused() {
    let none = Limits {
        streams_per_connection_max: 0,
        ..limits()
    };
    let bound = QuicTransport::bind(Zeroizing::new([1; 32]), anywhere(), none);
    assert!(matches!(bound.err(), Some(TransportError::BadLimits(_))));
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let bound = QuicTransport::bind(Zeroizing::new([1; 32]), anywhere(), limits());
    assert!(matches!(bound.err(), Some(TransportError::Io(_))));
}

#[tokio::test]
async fn a_node_key_is_the_peer_id() {
    let key = NodeSigningKey::from_seed([9; 32]);
    let transport = QuicTransport::bind(&key, anywhere(), limits()).unwrap();
    assert_eq!(transport.local(), PeerId::from(key.verifying_key()));
    assert_eq!(transport.local().node_key().unwrap(), key.verifying_key());
    let same = TransportKey::try_from(&key).unwrap();
    assert_eq!(same.peer(), transport.local());
}

#[tokio::test]
async fn addresses_are_names_or_numbers_with_a_port() {
    let (client, server) = (host(1), host(2));
    let named = format!("localhost:{}", server.local_address().port());
    let dialled = timeout(SOON, client.dial(server.local(), &named))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(dialled.remote(), Some(server.local_address()));
    for wrong in [
        "",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:port",
        "no such host.invalid:1",
        "[::1]:99",
    ] {
        let dialled = timeout(SOON, client.dial(server.local(), wrong)).await.unwrap();
        let address = wrong.to_owned();
        assert_eq!(dialled.err(), Some(TransportError::BadAddress { address }), "{wrong:?}");
    }
}

#[tokio::test]
async fn who_only_dials_is_not_dialled() {
    let client = QuicTransport::dial_only(Zeroizing::new([1; 32]), limits()).unwrap();
    assert!(timeout(SOON, client.accept()).await.unwrap().is_none());
    let server = host(2);
    let (dialled, accepted) = connect(&client, &server).await;
    assert_eq!(accepted.peer(), client.local());
    tokio::spawn(answer(accepted));
    assert_eq!(ask(&dialled).await.unwrap().unwrap(), b"hello");
    let eager = QuicTransport::dial_only(
        Zeroizing::new([3; 32]),
        Limits {
            handshake_timeout: Duration::from_millis(300),
            ..limits()
        },
    )
    .unwrap();
    let back = format!("127.0.0.1:{}", client.local_address().port());
    let refused = eager.dial(client.local(), &back).await.err();
    assert_eq!(refused, Some(TransportError::Unreachable));
}

#[tokio::test]
async fn another_key_at_the_same_address_is_not_taken_for_the_old_one() {
    let (client, server) = (host(1), host(2));
    let (old, address) = (server.local(), server.local_address());
    let (dialled, accepted) = connect(&client, &server).await;
    tokio::spawn(answer(accepted));
    assert_eq!(ask(&dialled).await.unwrap().unwrap(), b"hello");
    server.close().await;
    let _impostor = QuicTransport::bind(Zeroizing::new([3; 32]), address, limits()).unwrap();
    let dialled = timeout(SOON, client.dial(old, &address.to_string())).await.unwrap();
    assert_eq!(dialled.err(), Some(TransportError::WrongPeer));
}

#[test]
fn after_a_restart_old_peers_are_told_at_once() {
    let home = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (client, theirs) = (host(1), home());
        let entered = theirs.enter();
        let server = host(2);
        drop(entered);
        let (dialled, accepted) = connect(&client, &server).await;
        let address = server.local_address();
        std::thread::spawn(move || theirs.shutdown_timeout(SOON))
            .join()
            .unwrap();
        server.close().await;
        drop((server, accepted));
        let began = Instant::now();
        let _again = QuicTransport::bind(Zeroizing::new([2; 32]), address, limits()).unwrap();
        let reason = timeout(SOON, dialled.closed()).await.unwrap();
        assert_eq!(reason, TransportError::PeerRestarted);
        assert!(began.elapsed() < limits().idle_timeout / 2);
    });
}

#[tokio::test]
async fn one_address_gets_so_many_connections() {
    let few = Limits {
        connections_per_address_max: 2,
        ..limits()
    };
    let server = QuicTransport::bind(Zeroizing::new([1; 32]), anywhere(), few).unwrap();
    let clients = [host(2), host(3), host(4)];
    let mut held = Vec::new();
    for client in &clients[..2] {
        held.push(connect(client, &server).await);
    }
    let address = server.local_address().to_string();
    let third = timeout(SOON, clients[2].dial(server.local(), &address)).await.unwrap();
    assert_eq!(third.err(), Some(TransportError::Refused));
    assert_eq!(server.connections(), 2);
    held.clear();
    for _ in 0..100 {
        if server.connections() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 0);
    connect(&clients[2], &server).await;
}

/// Takes any server for the right one.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _key: &CertificateDer<'_>,
        _more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        unreachable!()
    }
    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The raw key pair of a stranger, in the form that rustls takes.
fn strangers_key() -> Arc<rustls::sign::CertifiedKey> {
    let mut pkcs8 = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ];
    pkcs8.extend([5; 32]);
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    let key = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
    let spki = key.public_key().unwrap();
    Arc::new(rustls::sign::CertifiedKey::new(
        vec![CertificateDer::from(spki.as_ref().to_vec())],
        key,
    ))
}

/// A client of the bare library: with a key or none, speaking this protocol.
fn stranger(with_key: bool, alpn: &[u8]) -> quinn::Endpoint {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone));
    let mut config = if with_key {
        let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(strangers_key());
        config.with_client_cert_resolver(Arc::new(resolver))
    } else {
        config.with_no_client_auth()
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let crypto = QuicClientConfig::try_from(config).unwrap();
    let mut endpoint = quinn::Endpoint::client(anywhere()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    endpoint
}

#[tokio::test]
async fn strangers_get_in_only_with_a_key_and_the_right_protocol() {
    let server = host(1);
    for (with_key, alpn) in [(false, &b"tokenim/1"[..]), (true, b"tokenim/2"), (true, b"h3")] {
        let endpoint = stranger(with_key, alpn);
        let connecting = endpoint.connect(server.local_address(), "x.invalid").unwrap();
        let ended = async {
            match connecting.await {
                // The client may think that it is in before the server has looked at its key.
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            }
        };
        let error = timeout(SOON, ended).await.unwrap();
        assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
    }
    let taken = timeout(Duration::from_millis(100), server.accept()).await;
    assert!(taken.is_err(), "a stranger got in");
    let endpoint = stranger(true, b"tokenim/1");
    let connecting = endpoint.connect(server.local_address(), "x.invalid").unwrap();
    let (connected, accepted) = timeout(SOON, async { tokio::join!(connecting, server.accept()) })
        .await
        .unwrap();
    let connection = connected.unwrap();
    let expected = strangers_key().cert[0][12..].try_into().unwrap();
    let accepted = accepted.unwrap();
    assert_eq!(accepted.peer(), PeerId::from_bytes(expected));
    // Neither streams in one direction nor datagrams are part of the protocol.
    assert!(
        timeout(Duration::from_millis(100), connection.open_uni())
            .await
            .is_err()
    );
    assert_eq!(connection.max_datagram_size(), None);
}

#[tokio::test]
async fn a_server_of_another_protocol_is_not_taken() {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::server::AlwaysResolvesServerRawPublicKeys::new(
            strangers_key(),
        )));
    config.alpn_protocols = vec![b"tokenim/2".to_vec()];
    let crypto = QuicServerConfig::try_from(config).unwrap();
    let server = quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), anywhere()).unwrap();
    let address = server.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Some(attempt) = server.accept().await {
            let _ = attempt.await;
        }
    });
    let peer = PeerId::from_bytes(strangers_key().cert[0][12..].try_into().unwrap());
    let dialled = timeout(SOON, host(1).dial(peer, &address)).await.unwrap();
    assert_eq!(dialled.err(), Some(TransportError::Handshake));
}

/// Strangers who begin handshakes and never go on take no place from those who do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_keep_nobody_out() {
    let tight = Limits {
        handshakes_max: 4,
        handshake_timeout: Duration::from_secs(60),
        ..limits()
    };
    let server = QuicTransport::bind(Zeroizing::new([1; 32]), anywhere(), tight).unwrap();
    // First packets, caught by someone who never answers.
    let sink = UdpSocket::bind(anywhere()).unwrap();
    sink.set_read_timeout(Some(SOON)).unwrap();
    let endpoint = stranger(true, b"tokenim/1");
    let mut attempts = Vec::new();
    for _ in 0..40 {
        attempts.push(endpoint.connect(sink.local_addr().unwrap(), "x.invalid").unwrap());
        let mut packet = vec![0; 2000];
        let (length, _) = sink.recv_from(&mut packet).unwrap();
        let sender = UdpSocket::bind(anywhere()).unwrap();
        sender.send_to(&packet[..length], server.local_address()).unwrap();
    }
    // And noise.
    let sender = UdpSocket::bind(anywhere()).unwrap();
    for length in 0..300 {
        let noise = vec![0xc0 | length as u8; length * 4];
        sender.send_to(&noise, server.local_address()).unwrap();
    }
    let client = host(2);
    let (dialled, accepted) = connect(&client, &server).await;
    tokio::spawn(answer(accepted));
    assert_eq!(timeout(SOON, ask(&dialled)).await.unwrap().unwrap().unwrap(), b"hello");
}

/// A peer that opens and resets streams as fast as it can keeps one core busy at most, and others get their answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_resets_keeps_nobody_out() {
    let server = host(1);
    let (stormy, calm) = (host(2), host(3));
    let (storm, stormed) = connect(&stormy, &server).await;
    let (dialled, accepted) = connect(&calm, &server).await;
    tokio::spawn(answer(stormed));
    tokio::spawn(answer(accepted));
    let storming = tokio::spawn(async move {
        let mut opened = 0_u32;
        while let Ok((mut send, mut recv)) = storm.open().await {
            if send.write(Bytes::from_static(b"x")).await.is_err() {
                break;
            }
            send.reset(0x100);
            recv.stop(0x100);
            opened += 1;
        }
        opened
    });
    for _ in 0..100 {
        let answered = timeout(SOON, ask(&dialled)).await.unwrap();
        assert_eq!(answered.unwrap().unwrap(), b"hello");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stormy.close().await;
    let opened = timeout(SOON, storming).await.unwrap().unwrap();
    assert!(opened > 100, "a storm of {opened} streams is none");
}

#[tokio::test]
async fn connections_outlive_the_handles_of_their_endpoints() {
    let (client, server) = (host(1), host(2));
    let (peer, address) = (server.local(), server.local_address().to_string());
    let (dialled, accepted) = connect(&client, &server).await;
    drop((client, server));
    tokio::spawn(answer(accepted));
    assert_eq!(timeout(SOON, ask(&dialled)).await.unwrap().unwrap().unwrap(), b"hello");
    // But nobody else gets in.
    let late = timeout(SOON, host(3).dial(peer, &address)).await.unwrap().err();
    assert!(
        matches!(late, Some(TransportError::Refused | TransportError::Unreachable)),
        "{late:?}"
    );
}
