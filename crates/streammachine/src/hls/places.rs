//! Places of requests that wait: a bounded number, and of each address no more than a share, so that nobody takes them all.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::base::net::network;

/// Requests that wait at once: each is a connection and a timer.
const PLACES_MAX: usize = 4096;
/// Those of one address: the players of a household or an office, two each, or of a proxy that is not told of.
const ADDRESS_MAX: usize = 64;

/// The places that there are.
#[derive(Debug, Default)]
pub struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    places: &'a Places,
    address: IpAddr,
}

impl Places {
    /// A place for a request from `address`; none if there is no more, or no more for it.
    pub fn take(&self, address: IpAddr) -> Option<Place<'_>> {
        let address = network(address);
        let mut taken = self.taken.lock();
        let here = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.all >= PLACES_MAX || here >= ADDRESS_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, here + 1);
        Some(Place { places: self, address })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn no_address_takes_the_places_of_others() {
        let places = Places::default();
        let nth = |nth: usize| IpAddr::from(Ipv4Addr::from_bits(nth as u32));
        let mut held: Vec<_> = (0..ADDRESS_MAX).map(|_| places.take(nth(0)).expect("a place")).collect();
        assert!(places.take(nth(0)).is_none());
        held.extend((ADDRESS_MAX..PLACES_MAX).map(|number| places.take(nth(number)).expect("a place")));
        assert!(places.take(nth(1)).is_none());
        held.truncate(ADDRESS_MAX - 1);
        assert!(places.take(nth(1)).is_some() && places.take(nth(0)).is_some());
        held.clear();
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }
}
