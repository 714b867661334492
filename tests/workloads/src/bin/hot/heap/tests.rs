use super::*;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

#[test]
fn blocks_are_aligned_and_disjoint() {
    let heap = Heap::new();
    let mut blocks = Vec::new();
    for size in [1, 16, 17, 100, 4_096, 70_000] {
        for align in [1, 8, 64, 4_096] {
            let layout = layout(size, align);
            // SAFETY: no size is zero.
            let block = unsafe { heap.alloc(layout) };
            assert_eq!(block.align_offset(align), 0, "{layout:?}");
            let start = block.addr();
            blocks.push(start..start + size);
        }
    }
    blocks.sort_by_key(|block| block.start);
    for pair in blocks.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:?}");
    }
}

#[test]
fn free_block_of_the_size_is_reused() {
    let heap = Heap::new();
    let (large, small) = (layout(100, 8), layout(20, 8));
    // SAFETY: no size is zero, and each block is freed once, with its own layout.
    unsafe {
        let first = heap.alloc(large);
        let other = heap.alloc(small);
        heap.dealloc(first, large);
        heap.dealloc(other, small);
        assert_eq!(heap.alloc(layout(128, 16)), first);
        assert_ne!(heap.alloc(large), first);
        assert_eq!(heap.alloc(small), other);
    }
}

#[test]
fn request_larger_than_the_supply_succeeds() {
    let heap = Heap::new();
    let layout = layout(SUPPLY + 1, 8);
    // SAFETY: the size is not zero; the last byte is within it.
    unsafe {
        let block = heap.alloc(layout);
        assert!(!block.is_null());
        block.add(SUPPLY).write(1);
        assert_eq!(block.add(SUPPLY).read(), 1);
    }
}
