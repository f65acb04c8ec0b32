//! How unevenly work falls: the k-th busiest of n has a share of 1/k^s.

/// Shares a total among `n` by Zipf(s), busiest first. The shares are whole and add up exactly.
pub(crate) fn split(total: u32, n: usize, s: f64) -> Vec<u32> {
    let weights: Vec<f64> = (1..=n).map(|k| weight(k, s)).collect();
    let sum: f64 = weights.iter().sum();
    // Cumulated and rounded: each share is within one of its due, and nothing is left over.
    let mut shares = Vec::with_capacity(n);
    let (mut given, mut due) = (0, 0.0);
    for weight in weights {
        due += weight;
        let upto = whole(f64::from(total) * due / sum).min(total);
        shares.push(upto - given);
        given = upto;
    }
    if let Some(last) = shares.last_mut() {
        *last += total - given;
    }
    shares
}

fn weight(k: usize, s: f64) -> f64 {
    f64::from(u32::try_from(k).unwrap_or(u32::MAX)).powf(-s)
}

/// The nearest whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a u32 by construction")]
fn whole(x: f64) -> u32 {
    x.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, n, s) in [(10_000, 300, 0.6), (10_000, 3_319, 0.4), (7, 300, 0.6), (0, 5, 1.0), (9_999, 1, 0.4)] {
            let shares = split(total, n, s);
            assert_eq!(shares.len(), n);
            assert_eq!(shares.iter().sum::<u32>(), total, "{total} among {n}");
        }
        assert_eq!(split(5, 0, 0.6), Vec::<u32>::new());
    }

    #[test]
    fn the_first_has_most_and_not_all() {
        let shares = split(10_000, 300, 0.6);
        assert!(shares[0] > 5 * shares[299]);
        assert!((300..600).contains(&shares[0]), "{}", shares[0]);
        assert!(shares.iter().all(|share| *share > 0));
    }
}
