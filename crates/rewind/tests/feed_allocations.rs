//! Delivering allocates nothing. In a binary of its own: it has an allocator that counts.

#![allow(unsafe_code)] // a global allocator cannot be written without; it only counts
#![allow(clippy::unwrap_used)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    num::NonZeroU32,
};

use rewind::{Pieces, Request, Start, Turn};

#[path = "feed/station.rs"]
#[allow(dead_code)] // shared with the binary of all other feed tests
mod station;

use station::*;

thread_local! {
    /// What this thread has allocated: the one that runs the tests allocates at moments of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn steady_delivery_allocates_nothing() {
    let mut station = Station::on_air(200);
    let opened = station.edge();
    let metaint = NonZeroU32::new(1_000);
    let requests = [
        request(Start::Live),
        request(Start::Behind(seconds(60))),
        Request { metaint, ..request(Start::Live) },
        Request { metaint, ..request(Start::Delay(seconds(60))) },
    ];
    let mut feeds = requests.map(|request| station.open(&request, opened).feed);
    let mut pieces = Pieces::default();
    let (mut counted, mut bytes) = (0, 0);
    for second in 0..60 {
        let now = after(opened, second);
        station.run_until(now);
        let before = ALLOCATIONS.get();
        for feed in &mut feeds {
            while feed.fill(now, ALL, &mut pieces) == Turn::Ready {
                bytes += pieces.len_bytes();
                let part = pieces.len_bytes().div_ceil(2);
                feed.consume(&pieces, part);
            }
        }
        // A title's block is made shareable by whoever tells it first.
        if second > 0 {
            counted += ALLOCATIONS.get() - before;
        }
    }
    assert!(bytes > 4 * 60 * 16_000);
    assert!(ALLOCATIONS.get() > 100, "the allocator counts");
    assert_eq!(counted, 0);
}
