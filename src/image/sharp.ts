import sharp from 'sharp';

// The one place where libvips is set up; everything here imports sharp from this file.
// No cache: no two requests share a picture, so cached operations would only keep users' pictures in memory.
sharp.cache(false);
// One libvips thread a picture: requests already run side by side on libuv's pool, the cores belong to the
// network, and more threads mean more glibc arenas, whose fragmentation looks like a leak (lovell/sharp#2607).
sharp.concurrency(1);

export default sharp;
