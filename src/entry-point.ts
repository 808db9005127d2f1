/**
 * Where a thread or a process starts: a module beside the caller, and the options of Node that it needs. When the caller runs
 * from the TypeScript sources (tests, scripts), so does the module, with the same loader.
 *
 * @param base the caller's import.meta.url
 * @param name the module's file name, without extension
 */
export function entryPoint(base: string, name: string): { url: URL; execArgv: string[] } {
  const fromSource = base.endsWith('.ts');
  return {
    url: new URL(`./${name}.${fromSource ? 'ts' : 'js'}`, base),
    execArgv: fromSource ? ['--import', 'tsx'] : [],
  };
}
