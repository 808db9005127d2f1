const NAME = 'ddpm-inpaint/';
/** A page that is reloaded holds its lock for a moment longer. */
const LOCK_MS = 1000;
/** Another tab answers within milliseconds, unless the machine is busy. */
const ANSWER_MS = 500;

/** Takes a record, which the tab has until it is closed. Resolves to false where another tab has it. */
export function claim(record: string): Promise<boolean> {
  const name = NAME + record;
  return navigator.locks ? claimByLock(name) : claimByAsking(name);
}

function claimByLock(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = () => {
      resolve(true);
      return new Promise<void>(() => {});
    };
    navigator.locks.request(name, { signal: AbortSignal.timeout(LOCK_MS) }, hold).catch(() => resolve(false));
  });
}

/**
 * Without a secure origin there are no locks: the tab that has a record answers others that ask for it. Of two tabs that
 * ask at the same time neither gets it.
 */
async function claimByAsking(name: string): Promise<boolean> {
  const channel = new BroadcastChannel(name);
  channel.addEventListener('message', ({ data }) => {
    if (data === 'whose?') channel.postMessage('mine');
  });
  const isTaken = await new Promise<boolean>((resolve) => {
    channel.addEventListener('message', ({ data }) => data === 'mine' && resolve(true));
    setTimeout(() => resolve(false), ANSWER_MS);
    channel.postMessage('whose?');
  });
  if (isTaken) channel.close();
  return !isTaken;
}
