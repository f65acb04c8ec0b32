//! Is docs/PROTOCOL.md enough for a stranger? The client of `tests/python` was written from it.

use anyhow::{Context, Result, ensure};
use jiff::tz;
use tokio::process::Command;
use tokio::time::timeout;

use crate::product::{Product, START, root};

const WARD: &str = "vpymwb4a";
const HOME: &str = "vpyuszdn";
const HOME_UNIT: &str = "24448";

#[tokio::test]
async fn a_client_written_from_the_protocol_page_lives_a_life() -> Result<()> {
    let product = Product::new("python", None, &[WARD, HOME]).await?;
    let running = product.start(&[]).await?;

    let url = product.world.amqp_url();
    let address = url.rsplit_once('@').context("no login in the address")?.1;
    let (host_and_port, vhost) = address.split_once('/').context("no vhost in the address")?;
    let (host, port) = host_and_port.split_once(':').context("no port in the address")?;
    let today = tz::offset(7).to_datetime(product.now()).date().to_string();
    let life = Command::new("/usr/bin/python3")
        .arg(root().join("tests/python/life.py"))
        .envs([
            ("XM_HOST", host),
            ("XM_PORT", port),
            ("XM_VHOST", vhost),
            ("XM_WARD", WARD),
            ("XM_WARD_PASSWORD", product.password(WARD)?),
            ("XM_HOME", HOME),
            ("XM_HOME_PASSWORD", product.password(HOME)?),
            ("XM_HOME_CODE", HOME_UNIT),
            ("XM_HOME_AS_OF", &today),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ])
        .kill_on_drop(true)
        .output();
    let life = timeout(START, life).await.context("the client does not end")?.context("python3 could not be run")?;
    let (said, error) = (String::from_utf8_lossy(&life.stdout), String::from_utf8_lossy(&life.stderr));
    ensure!(
        life.status.success() && said.lines().last() == Some("life: ok"),
        "it says (pika is installed by deploy/install-servers --with-pika):\n{said}{error}"
    );

    running.stop().await?;
    product.close().await
}
