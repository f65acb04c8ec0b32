//! What the kernel tells of processes: CPU time and memory, by process id, from `/proc`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, bail};

/// In what `/proc` counts CPU time: Linux shows hundredths of a second whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;
/// How often a tree is looked at again because one of its processes ended meanwhile.
const LOOKS: usize = 20;

/// What is in `/proc/<pid>/stat` that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Of its own, all threads.
    own: u64,
    /// Of children that ended and were waited for, with theirs.
    ended: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name stands in brackets and may have anything in it.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended: ticks(13)? + ticks(14)?,
        })
    }
}

/// CPU seconds, of user and kernel, of a process and of all below it, those that ended among them.
pub(crate) fn cpu_seconds(root: u32) -> Result<f64> {
    for _ in 0..LOOKS {
        // A process that ends between the looks is either seen twice or not at all; the root then has more
        // of ended children than before.
        let before = stat(root)?;
        let all = all()?;
        let after = stat(root)?;
        if before.ended == after.ended {
            return Ok(seconds(tree(root, &all)));
        }
    }
    bail!("processes of {root} end all the time")
}

/// CPU seconds of this process alone: what it measures are children of it.
pub(crate) fn own_cpu_seconds() -> Result<f64> {
    stat(std::process::id()).map(|stat| seconds(stat.own))
}

/// The most memory that a process had at once, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    peak_of(&status).with_context(|| format!("process {pid} has no VmHWM"))
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

fn stat(pid: u32) -> Result<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    Stat::parse(&line).with_context(|| format!("process {pid}: {line}"))
}

fn all() -> Result<HashMap<u32, Stat>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        // One that ended since the directory was read has left nothing.
        if let Some(pid) = pid
            && let Ok(stat) = stat(pid)
        {
            all.insert(pid, stat);
        }
    }
    Ok(all)
}

/// Ticks of a process and of all below it.
fn tree(root: u32, all: &HashMap<u32, Stat>) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let (mut ticks, mut open) = (0, vec![root]);
    while let Some(pid) = open.pop() {
        ticks += all.get(&pid).map_or(0, |stat| stat.own + stat.ended);
        // Taken out, so that no loop is gone round.
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    ticks
}

#[expect(clippy::cast_precision_loss, reason = "centuries are far below 2^52 ticks")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_process_is_called() {
        let line = "4711 (a) b (c) S 42 4711 4711 0 -1 4194560 1 2 3 4 101 22 303 44 20 0 9 0 77 1 2";
        assert_eq!(Stat::parse(line), Some(Stat { parent: 42, own: 123, ended: 347 }));
        assert_eq!(Stat::parse("4711 (a) S 42"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(peak_of("Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    12 kB\nVmRSS:\t 9 kB\n"), Some(12_288));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn a_tree_is_the_process_and_all_below_it() {
        let stat = |parent, own, ended| Stat { parent, own, ended };
        let all = HashMap::from([
            (1, stat(0, 1_000_000, 0)),
            (10, stat(1, 1, 20)),
            (11, stat(10, 300, 0)),
            (12, stat(11, 4_000, 50_000)),
            (20, stat(1, 7_000_000, 0)),
        ]);
        assert_eq!(tree(10, &all), 54_321);
        assert_eq!(tree(99, &all), 0);
    }

    #[test]
    fn children_that_ended_still_count() {
        let me = std::process::id();
        let before = cpu_seconds(me).unwrap();
        let spin = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", spin]).status().unwrap().success());
        let used = cpu_seconds(me).unwrap() - before;
        assert!(used >= 0.05, "{used}");
        assert!(peak_memory(me).unwrap() > 1 << 20);
    }
}
