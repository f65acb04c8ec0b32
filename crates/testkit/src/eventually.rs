//! Waiting for what sends no event.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again and again until there is a value, and panics with `what` and the time it took if
/// there is none in time. Only for things that cannot be awaited, such as a count on a server.
pub async fn eventually<T, F>(what: &str, within: Duration, mut ask: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let began = Instant::now();
    let mut tries = 0_u32;
    let mut pause = Duration::from_millis(5);
    loop {
        tries += 1;
        if let Some(value) = ask().await {
            return value;
        }
        let waited = began.elapsed();
        assert!(waited < within, "waited {waited:?} ({tries} looks) in vain for: {what}");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_returns_the_value() {
        let mut left = 3;
        let got = eventually("three looks", Duration::from_secs(5), async || {
            left -= 1;
            (left == 0).then_some("seen")
        })
        .await;
        assert_eq!(got, "seen");
    }

    #[tokio::test]
    #[should_panic(expected = "in vain for: the impossible")]
    async fn it_says_what_did_not_come() {
        eventually("the impossible", Duration::from_millis(20), async || None::<()>).await;
    }
}
