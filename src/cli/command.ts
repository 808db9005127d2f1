import { parseArgs } from 'node:util';

/** The arguments of a command are invalid. The message is a sentence. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/**
 * Runs a command with the process's arguments and ends the process when it fails. `--help` or `-h` prints `usage`, with
 * exit code 0. An error of an expected class is printed as its message, any other with its stack, with exit code 1.
 *
 * @param run receives the positional arguments
 * @param expected error classes whose message tells the operator what to do; UsageError is always one
 */
export async function runCommand(
  usage: string,
  run: (args: string[]) => void | Promise<void>,
  expected: (abstract new (...args: never[]) => Error)[] = [],
): Promise<void> {
  try {
    const { values, positionals } = parseCommandLine();
    if (values.help) console.log(usage);
    else await run(positionals);
  } catch (error) {
    const isExpected = [UsageError, ...expected].some((type) => error instanceof type);
    console.error(isExpected ? (error as Error).message : error);
    if (error instanceof UsageError) console.error('Use --help to see how it is called.');
    process.exitCode = 1;
  }
}

function parseCommandLine() {
  try {
    return parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}.`); // without advice on positional arguments
  }
}
