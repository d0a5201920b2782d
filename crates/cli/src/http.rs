//! One page from a node's HTTP server on this machine.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The most of a page that is read.
const PAGE_BYTES_MAX: u64 = 4 << 20;
/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The status code and body of a page.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let page = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer).await?;
        parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
    };
    tokio::time::timeout(TIMEOUT, page).await?
}

/// Splits an answer; the servers asked here send the body as it is, with its length.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let chunked = head
        .lines()
        .any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding:"));
    if chunked { None } else { Some((status, body.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split() {
        assert_eq!(
            parse(b"HTTP/1.1 503 Service Unavailable\r\nx: y\r\n\r\nstarting"),
            Some((503, "starting".to_owned()))
        );
        for bad in [
            &b""[..],
            b"HTTP/1.1 200 OK",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 2\r\n\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert_eq!(parse(bad), None);
        }
    }
}
