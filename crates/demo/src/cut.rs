//! A line that can be cut without a word.
//!
//! The AMQP library always says goodbye, and a lost line does not. So an office that is to lose its
//! line reaches the broker through a small relay in this process, and the relay is what dies.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};

/// A relay of one office to the broker.
#[derive(Debug)]
pub(crate) struct Cut {
    port: u16,
    open: Arc<Mutex<Vec<AbortHandle>>>,
    listening: JoinHandle<()>,
}

impl Cut {
    /// Begins to listen.
    pub(crate) async fn listen(host: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for a relay")?;
        let own = listener.local_addr().context("a relay without an address")?.port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let (lines, host) = (open.clone(), host.to_owned());
        let listening = tokio::spawn(async move {
            while let Ok((mut office, _)) = listener.accept().await {
                let host = host.clone();
                let line = tokio::spawn(async move {
                    if let Ok(mut broker) = TcpStream::connect((host.as_str(), port)).await {
                        // How a line ends is what both ends find out for themselves.
                        let _ = copy_bidirectional(&mut office, &mut broker).await;
                    }
                });
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.abort_handle());
            }
        });
        Ok(Self { port: own, open, listening })
    }

    /// Where the office connects to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts what is open; the next connection is let through again.
    pub(crate) fn cut(&self) {
        for line in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            line.abort();
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}
