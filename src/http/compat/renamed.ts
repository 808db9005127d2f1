import { type FieldError, Problem } from '../problem.ts';

/**
 * The problem with its fields under the names that the client has sent.
 *
 * @param names by the name of the field in a generation request
 */
export function renamed(problem: Problem, names: Readonly<Record<string, string>>): Problem {
  const { slug, message, errors, retryAfterS } = problem;
  const [first] = errors;
  const detail = first ? startingWith(message, nameIn(first), names) : message;
  return new Problem(slug, detail, {
    errors: errors.map((error) => renamedError(error, names)),
    retryAfterS,
  });
}

/** The field that an error is about. Pointers look like #/image/0. */
export const nameIn = ({ pointer }: FieldError): string => pointer.split('/')[1] ?? '';

function renamedError(error: FieldError, names: Readonly<Record<string, string>>): FieldError {
  const name = nameIn(error);
  const wanted = Object.hasOwn(names, name) ? names[name] : name;
  return {
    pointer: error.pointer.replace(/^#\/[^/]*/, `#/${wanted}`),
    detail: startingWith(error.detail, name, names),
  };
}

/** A text that begins with the name of its field begins with the client's name for it. */
function startingWith(text: string, name: string, names: Readonly<Record<string, string>>): string {
  if (!Object.hasOwn(names, name) || !text.startsWith(`${name} `)) return text;
  return names[name] + text.slice(name.length);
}
