// Work off the page's thread: see worker.js.

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let orders = 0;

worker.onmessage = ({ data: { id, answer, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(answer);
};

/** Have a task of the worker done; rejects with an Error that can be shown. */
export function ask(task, told) {
  return new Promise((resolve, reject) => {
    waiting.set(++orders, { resolve, reject });
    worker.postMessage({ id: orders, task, ...told });
  });
}
