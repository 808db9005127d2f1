import type { FastifyReply } from 'fastify';
import { pictureBudget, type Room } from '../image/budget.ts';
import { whenSent } from './disconnect.ts';

/**
 * Does work within the budget of memory, where it takes so many bytes. The files that it makes count until the answer has been
 * sent. Rejects with MemoryFullError.
 */
export async function heldFiles(
  reply: FastifyReply,
  bytes: number,
  work: (room: Room) => Promise<Uint8Array[]>,
): Promise<Uint8Array[]> {
  const room = pictureBudget.reserve(bytes);
  try {
    const files = await work(room);
    room.resize(files.reduce((sum, { length }) => sum + length, 0));
    return files;
  } finally {
    whenSent(reply, () => room.release());
  }
}
