//! `amber health`: asks a running Amber's `/health`; for container checks, where there is no curl.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Args;

const PATIENCE: Duration = Duration::from_secs(5);

pub fn health(args: &Args) -> anyhow::Result<()> {
    let (config, ..) = super::load(args)?;
    let address = reachable(config.http.listen.value);
    super::runtime()?.block_on(async {
        let status = tokio::time::timeout(PATIENCE, ask(address))
            .await
            .with_context(|| format!("no answer from {address} within {PATIENCE:?}"))?
            .with_context(|| format!("amber does not answer on {address} (`[http] listen`)"))?;
        if status != "200" {
            bail!("{address}/health answers {status}");
        }
        println!("ok");
        Ok(())
    })
}

/// Who listens on every address is asked on the loopback one.
pub(super) fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

/// The status code of `GET /health`. One request over HTTP/1.0 needs no client library.
pub(super) async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /health HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.split_whitespace().nth(1).unwrap_or("nothing").to_owned())
}
