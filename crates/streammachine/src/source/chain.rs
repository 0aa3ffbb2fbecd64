//! The chain of mounts that audio comes through when servers pull each other's streams: who finds itself in it would feed
//! itself.

use uuid::Uuid;

/// Mounts of a chain that are told and heeded; longer ones are cut. Nobody relays a relay so often.
pub const MOUNTS_MAX: usize = 16;

/// Reads the mounts of a header. What is no id is passed over: it can be none of ours.
pub fn parse(header: Option<&str>) -> Vec<Uuid> {
    let ids = header.unwrap_or_default().split(',').take(MOUNTS_MAX);
    ids.filter_map(|id| Uuid::try_parse(id.trim()).ok()).collect()
}

/// The chain as a header has it.
pub fn render(mounts: &[Uuid]) -> String {
    let ids: Vec<String> = mounts.iter().map(Uuid::to_string).collect();
    ids.join(", ")
}

/// What `mount` hears: itself, and all that it comes from. `find` tells what a mount is fed by; of mounts of other
/// servers, which it does not know, nothing.
pub fn follow(mount: Uuid, find: impl Fn(Uuid) -> Vec<Uuid>) -> Vec<Uuid> {
    let mut chain = vec![mount];
    let mut next = 0;
    while let Some(&id) = chain.get(next) {
        for upstream in find(id) {
            if chain.len() < MOUNTS_MAX && !chain.contains(&upstream) {
                chain.push(upstream);
            }
        }
        next += 1;
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn a_chain_is_told_and_read_within_a_bound() {
        let all: Vec<Uuid> = (0..20).map(id).collect();
        assert_eq!(parse(Some(&render(&all))), all[..MOUNTS_MAX]);
        assert_eq!(parse(Some(&format!("of another server,{}, ,x", id(7)))), [id(7)]);
        assert_eq!((parse(Some("")), parse(None)), (vec![], vec![]));
    }

    #[test]
    fn a_chain_is_followed_to_its_end_or_round_once_within_a_bound() {
        let line = |id: Uuid| vec![Uuid::from_u128(id.as_u128() + 1)];
        assert_eq!(follow(id(0), line), (0..MOUNTS_MAX as u128).map(id).collect::<Vec<_>>());
        let round = |id: Uuid| vec![Uuid::from_u128((id.as_u128() + 1) % 3)];
        assert_eq!(follow(id(0), round), [id(0), id(1), id(2)]);
        assert_eq!(follow(id(5), |_| Vec::new()), [id(5)]);
    }
}
