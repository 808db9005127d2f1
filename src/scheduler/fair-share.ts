/**
 * By how much a request exceeds its room; at most 0 if it fits. Where owners share the room, none may hold more than is
 * still free (the dynamic threshold of Choudhury and Hahne, 1998): one that floods gets half of it, and the next always
 * finds some.
 *
 * @param total held by all owners; `own` by the one that wants `wanted` more
 */
export function deficit(
  { total, own, wanted }: { total: number; own: number; wanted: number },
  limit: number,
  shared: boolean,
): number {
  const missing = total + wanted - limit;
  return shared ? Math.max(missing, own + wanted - (limit - total)) : missing;
}
