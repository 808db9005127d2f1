let isListening = false;

/**
 * Calls `clean` when this process ends, other than by SIGKILL; the returned function takes that back. SIGINT and SIGTERM end the
 * process here: it would end without an 'exit' event if nothing listened to them.
 */
export function atExit(clean: () => void): () => void {
  process.once('exit', clean);
  if (!isListening)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  isListening = true;
  return () => process.off('exit', clean);
}
