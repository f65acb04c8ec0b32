//! A client in the middle of its handshake.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{OfficeLogin, PATIENCE, World};

/// The type of a frame that says nothing but that somebody is there.
const HEARTBEAT: u8 = 8;

/// A connection whose password was checked and that is not open yet: as slow as a client may be.
pub struct HalfOpen(TcpStream);

impl HalfOpen {
    /// What RabbitMQ says to whoever is let in: class and method.
    pub const OPEN_OK: (u16, u16) = (10, 41);
    /// What it says to whoever is sent away.
    pub const CLOSE: (u16, u16) = (10, 50);

    /// Shows the password.
    pub async fn new(world: &World, login: &OfficeLogin) -> Result<Self> {
        let url = world.amqp_url();
        let host = url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).context("an odd address")?.0;
        let mut half = Self(TcpStream::connect(host).await?);
        half.0.write_all(b"AMQP\0\0\x09\x01").await?;
        half.expect(10, 10).await?; // start
        let response = format!("\0{}\0{}", login.office, login.password);
        let mut start_ok = vec![0, 0, 0, 0, 5];
        start_ok.extend_from_slice(b"PLAIN");
        start_ok.extend_from_slice(&u32::try_from(response.len())?.to_be_bytes());
        start_ok.extend_from_slice(response.as_bytes());
        start_ok.extend_from_slice(b"\x05en_US");
        half.send(10, 11, &start_ok).await?;
        let tune = half.expect(10, 30).await?;
        half.send(10, 31, &tune).await?;
        Ok(half)
    }

    /// Opens the virtual host; gives the method RabbitMQ answers with.
    pub async fn open(&mut self, world: &World) -> Result<(u16, u16)> {
        let mut open = vec![u8::try_from(world.name().len())?];
        open.extend_from_slice(world.name().as_bytes());
        open.extend_from_slice(&[0, 0]);
        self.send(10, 40, &open).await?;
        self.read().await
    }

    /// The next method that RabbitMQ says by itself.
    pub async fn read(&mut self) -> Result<(u16, u16)> {
        Ok(self.frame().await?.0)
    }

    async fn expect(&mut self, class: u16, method: u16) -> Result<Vec<u8>> {
        let (got, arguments) = self.frame().await?;
        ensure!(got == (class, method), "RabbitMQ said {got:?}");
        Ok(arguments)
    }

    async fn frame(&mut self) -> Result<((u16, u16), Vec<u8>)> {
        let reading = async {
            let mut head = [0; 7];
            let frame = loop {
                self.0.read_exact(&mut head).await?;
                let size = u32::from_be_bytes(head[3..].try_into()?);
                let mut frame = vec![0; usize::try_from(size)? + 1];
                self.0.read_exact(&mut frame).await?;
                if head[0] != HEARTBEAT {
                    break frame;
                }
            };
            let number = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
            Ok(((number(0), number(2)), frame[4..frame.len() - 1].to_vec()))
        };
        timeout(PATIENCE, reading).await.context("RabbitMQ says nothing")?
    }

    async fn send(&mut self, class: u16, method: u16, arguments: &[u8]) -> Result<()> {
        let mut frame = vec![1, 0, 0];
        frame.extend_from_slice(&u32::try_from(arguments.len() + 4)?.to_be_bytes());
        frame.extend_from_slice(&class.to_be_bytes());
        frame.extend_from_slice(&method.to_be_bytes());
        frame.extend_from_slice(arguments);
        frame.push(0xce);
        Ok(self.0.write_all(&frame).await?)
    }
}
