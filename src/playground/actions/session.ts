/** What a tab keeps through reloads. Reading it throws where the browser blocks the data of sites: nothing is kept then. */
export const session = {
  get(name: 'key' | 'record'): string | undefined {
    try {
      return sessionStorage.getItem(name) ?? undefined;
    } catch {
      return undefined;
    }
  },
  set(name: 'key' | 'record', value: string): void {
    try {
      sessionStorage.setItem(name, value);
    } catch {}
  },
};
