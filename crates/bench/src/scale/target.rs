//! What was to be reached, and whether it was.

use serde::Serialize;

pub(crate) use crate::cost::real;

/// One thing that was to be reached. What is missed is said, and changes no exit code.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) figure: f64,
    pub(crate) bound: f64,
    pub(crate) reached: bool,
}

/// Whatever is no number was not reached.
pub(crate) fn at_most(name: &'static str, figure: f64, bound: f64) -> Target {
    Target { name, figure, bound, reached: figure <= bound }
}

/// Likewise.
pub(crate) fn at_least(name: &'static str, figure: f64, bound: f64) -> Target {
    Target { name, figure, bound, reached: figure >= bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_reached_from_its_side_alone() {
        assert!(at_most("a", 1.0, 1.0).reached && !at_most("a", 1.1, 1.0).reached);
        assert!(at_least("a", 1.0, 1.0).reached && !at_least("a", 0.9, 1.0).reached);
        assert!(!at_most("a", f64::NAN, 1.0).reached && !at_least("a", f64::NAN, 1.0).reached);
    }
}
