import sharp from 'sharp';

// Configures libvips. Import sharp from this file only.
// No cache: requests do not share pictures, so the cache would only keep uploads in memory.
sharp.cache(false);
// One libvips thread per picture. Requests already run in parallel, the cores are needed for the network, and more
// threads mean more glibc arenas, whose fragmentation looks like a memory leak (lovell/sharp#2607).
sharp.concurrency(1);

export default sharp;
