//! The report and its words, from runs made by hand.

use super::*;

fn run(lives_per_second: f64) -> Run {
    Run { lives_per_second, ..Run::default() }
}

fn half(p99_ms: f64) -> HalfLoad {
    let submit_to_deliver = Took { count: 1_000, p50_ms: 1.0, p99_ms };
    HalfLoad { submit_to_deliver, ..HalfLoad::default() }
}

fn pair(product: f64, floor: f64, plain: f64) -> Pair {
    Pair { order: ["product", "floor", "plain relay"], product: run(product), floor: run(floor), plain: run(plain) }
}

fn count(rates: &[(f64, f64)]) -> Count {
    let pairs = rates.iter().map(|(p, f)| pair(*p, *f, 2.0 * f)).collect();
    Count::new(600, pairs, half(140.0), half(20.0))
}

fn report(counts: Vec<Count>) -> Report {
    Report::new(How { window: 2, pairs: 2, seconds: 1, warm_up: 0 }, counts).unwrap()
}

#[test]
fn the_ratio_is_the_median_of_the_pairs_and_not_of_the_sides() {
    let Count { outcome, void, .. } = count(&[(50.0, 100.0), (90.0, 100.0), (60.0, 110.0)]);
    assert!((outcome.ratio - 60.0 / 110.0).abs() < 1e-9, "{outcome:?}");
    assert!((outcome.ratio4 - 60.0 / 220.0).abs() < 1e-9, "{outcome:?}");
    assert_eq!(outcome.product.lives_per_second, Spread { min: 50.0, median: 60.0, max: 90.0 });
    assert_eq!(void, None);
}

#[test]
fn a_floor_that_is_not_steady_makes_it_void() {
    let void = count(&[(50.0, 100.0), (50.0, 120.0)]).void.unwrap();
    assert!(void.contains("18 %"), "{void}");
}

#[test]
fn a_floor_that_stands_still_or_ran_once_makes_it_void() {
    assert!(count(&[(50.0, 0.0), (50.0, 0.0)]).void.is_some());
    assert!(count(&[(50.0, 100.0)]).void.is_some());
    assert!(count(&[(50.0, 100.0), (50.0, 100.0)]).void.is_none());
}

#[test]
fn one_number_of_offices_makes_the_whole_void() {
    let (good, bad) = (count(&[(50.0, 100.0), (50.0, 100.0)]), count(&[(50.0, 100.0), (50.0, 150.0)]));
    assert_eq!(report(vec![good.clone()]).void, None);
    assert!(report(vec![good, bad]).void.unwrap().contains("600 offices"));
}

#[test]
fn the_first_number_of_offices_stands_at_the_top() {
    let (first, second) = (count(&[(80.0, 100.0), (80.0, 100.0)]), count(&[(30.0, 100.0), (30.0, 100.0)]));
    let json = serde_json::to_value(report(vec![first, second])).unwrap();
    assert_eq!(json["ratio"], 0.8);
    assert_eq!(json["ratio4"], 0.4);
    assert_eq!(json["product"]["half_load"]["submit_to_deliver"]["p99_ms"], 140.0);
    assert_eq!(json["by_offices"][0]["ratio"], 0.8);
    assert_eq!(json["by_offices"][1]["ratio"], 0.3);
    assert_eq!(json["by_offices"][1]["pairs"][0]["product"]["cpu_seconds_per_1000_lives"]["itself"], 0.0);
}

#[test]
fn more_than_twelve_messages_a_life_are_too_many() {
    let with = |published: f64, delivered: f64| {
        let mut odd = pair(50.0, 100.0, 200.0);
        odd.product.messages_per_life = Messages { published, delivered, ..Messages::default() };
        Count::new(600, vec![pair(50.0, 100.0, 200.0), odd], half(1.0), half(1.0)).too_many_messages
    };
    assert_eq!(with(12.0, 12.0), None);
    // Handed out again and again is too many as well.
    assert!(with(9.0, 12.1).unwrap().contains("product: 12.10"));
    assert!(with(12.1, 9.0).is_some());
}

#[test]
fn what_is_to_be_reached_is_said_with_what_was() {
    let reached = |ratio, product, floor| {
        let all = reach(ratio, &half(product), &half(floor));
        all.iter().map(|reach| reach.reached).collect::<Vec<_>>()
    };
    assert_eq!(reached(0.7, 150.0, 15.0), [true, true, true]);
    assert_eq!(reached(0.69, 151.0, 15.0), [false, false, false]);
    assert_eq!(reached(0.8, 60.0, 5.0), [true, true, false]);
    // Nothing seen is nothing reached.
    let none = reach(0.8, &HalfLoad::default(), &half(5.0));
    assert!(!none[1].reached && !none[2].reached);
}

#[test]
fn of_memory_the_most_counts_and_of_the_rest_the_middle() {
    let run = |bytes, wal_bytes_per_life, rabbitmq| Run {
        peak_memory_bytes: bytes,
        cost: Cost {
            wal_bytes_per_life,
            cpu_seconds_per_1000_lives: CpuSeconds { rabbitmq, ..CpuSeconds::default() },
            ..Cost::default()
        },
        ..Run::default()
    };
    let (a, b, c) = (run(10, 3.0, Some(2.0)), run(30, 1.0, Some(1.0)), run(20, 2.0, Some(3.0)));
    let figures = Figures::of(&[&a, &b, &c], None);
    assert_eq!(figures.peak_memory_bytes, 30);
    assert!((figures.cost.wal_bytes_per_life - 2.0).abs() < 1e-9);
    assert_eq!(figures.cost.cpu_seconds_per_1000_lives.rabbitmq, Some(2.0));
    let foreign = run(1, 1.0, None);
    assert_eq!(Figures::of(&[&a, &foreign], None).cost.cpu_seconds_per_1000_lives.rabbitmq, None);
}
