//! Max-min fair shares, in hindsight.

/// What an account is entitled to. `floor` and `cap` are in units, or in units per second for a
/// rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entitlement {
    /// The share relative to an account of weight 1.
    pub weight: f64,
    /// The guaranteed minimum.
    pub floor: f64,
    /// The maximum.
    pub cap: f64,
}

impl Entitlement {
    /// Returns what the account gets of `demand` at this level.
    pub fn at(&self, level: f64, demand: f64) -> f64 {
        demand.min(self.cap).min((level * self.weight).max(self.floor))
    }
}

/// Returns the max-min fair level: the share of weight 1 at which all accounts together get
/// `whole`.
///
/// No account gets more than its demand and its cap. The level is infinite if there is enough for
/// all. It is found by bisection, independently of the methods of the policies.
pub fn fair_level(whole: f64, demands: &[(Entitlement, f64)]) -> f64 {
    let sum =
        |level: f64| demands.iter().map(|(entitlement, demand)| entitlement.at(level, *demand)).sum::<f64>();
    if demands.iter().map(|(entitlement, demand)| demand.min(entitlement.cap)).sum::<f64>() <= whole {
        return f64::INFINITY;
    }
    let saturation = |(entitlement, demand): &(Entitlement, f64)| {
        if entitlement.weight > 0.0 { demand.min(entitlement.cap) / entitlement.weight } else { 0.0 }
    };
    let (mut low, mut high) = (0.0_f64, demands.iter().map(saturation).fold(0.0, f64::max));
    while high - low > 1e-9 * high.max(1e-9) {
        let middle = low + (high - low) / 2.0;
        if sum(middle) > whole {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(whole: f64, demands: &[(Entitlement, f64)]) -> Vec<f64> {
        let level = fair_level(whole, demands);
        demands
            .iter()
            .map(|(entitlement, demand)| (entitlement.at(level, *demand) * 1e6).round() / 1e6)
            .collect()
    }

    fn entitlement(weight: f64, floor: f64, cap: f64) -> Entitlement {
        Entitlement { weight, floor, cap }
    }

    #[test]
    fn small_demands_are_met_and_others_share_the_rest() {
        let plain = entitlement(1.0, 0.0, f64::INFINITY);
        assert_eq!(shares(10.0, &[(plain, 1.0), (plain, 20.0), (plain, 5.0)]), [1.0, 4.5, 4.5]);
        assert_eq!(shares(30.0, &[(plain, 1.0), (plain, 20.0), (plain, 5.0)]), [1.0, 20.0, 5.0]);
        assert_eq!(shares(30.0, &[]), [0.0; 0]);
    }

    #[test]
    fn weights_floors_and_caps_shape_the_shares() {
        let demands = [
            (entitlement(1.0, 0.0, f64::INFINITY), 100.0),
            (entitlement(3.0, 0.0, f64::INFINITY), 100.0),
            (entitlement(1.0, 10.0, f64::INFINITY), 100.0),
            (entitlement(1.0, 0.0, 2.0), 100.0),
            (entitlement(0.0, 0.0, f64::INFINITY), 100.0),
        ];
        assert_eq!(shares(32.0, &demands), [5.0, 15.0, 10.0, 2.0, 0.0]);
    }
}
