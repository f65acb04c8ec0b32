//! Do the clocks of this host and of the servers agree? Every instant of the ledger comes from the
//! hosts that run the roles, so two of them that differ charge somebody for time that nobody took.

use super::finding::Finding;

/// More than this is worth a look: RabbitMQ tells whole seconds only.
const LOOK_MS: i64 = 2_000;
/// More than this moves due instants for people.
const FAULT_MS: i64 = 60_000;

/// How far each server's clock is ahead of this host's, in milliseconds. The outer option: was there
/// an answer; the inner one: did it tell the time.
pub(crate) fn judge(stepped: bool, postgresql: Option<i64>, rabbitmq: Option<Option<i64>>) -> Vec<Finding> {
    if stepped {
        return vec![Finding::sound("clocks", "not compared: this installation goes by a stepped clock (clock.file)")];
    }
    let mut found = Vec::new();
    found.extend(postgresql.map(|ahead| one("clock of postgresql", ahead)));
    found.extend(rabbitmq.map(|ahead| match ahead {
        Some(ahead) => one("clock of rabbitmq", ahead),
        None => Finding::unseen(
            "clock of rabbitmq",
            "the management API told no time",
            "Compare the clocks by hand (`date` on both hosts)",
        ),
    }));
    found
}

fn one(part: &'static str, ahead_ms: i64) -> Finding {
    let off = ahead_ms.abs();
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let what = format!("{}.{} s {side} this host", off / 1_000, off % 1_000 / 100);
    let remedy = "Let both hosts follow the same time servers (chrony or systemd-timesyncd; `timedatectl` says whether \
                  one does), and find out which of the two is wrong";
    match off {
        0..=LOOK_MS => Finding::sound(part, what),
        off if off <= FAULT_MS => Finding::look(part, what, remedy),
        _ => Finding::fault(part, what, remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    #[test]
    fn two_seconds_are_forgiven_and_a_minute_is_not() {
        let level = |ms| judge(false, Some(ms), None)[0].level;
        assert_eq!(level(2_000), Level::Sound);
        assert_eq!(level(-2_001), Level::Look);
        assert_eq!(level(-60_001), Level::Fault);
        let found = judge(false, Some(-61_250), Some(None));
        assert_eq!(found[0].what, "61.2 s behind this host");
        assert_eq!(found[1].level, Level::Unseen);
        assert_eq!(judge(true, Some(99_000_000), None)[0].level, Level::Sound);
    }
}
