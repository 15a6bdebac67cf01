// The server's HTTP interface. Addresses are relative: the page may be served below any path.

const KEY = "finefill-token";
const TRIES = 30;

/** An answer that says no; the message is its detail. */
export class Problem extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class Server {
  /** @param askToken shows a dialog; resolves to a token, or null if there is none */
  constructor(askToken) {
    this.askToken = askToken;
  }

  async models() {
    return (await (await this.#call("v1/models")).json()).models;
  }

  /** Kinds of files by extension: {extension, usable, remedy}. */
  async formats() {
    return (await (await this.#call("v1/formats")).json()).formats;
  }

  /**
   * Complete a photo as a job.
   * @param form fields of the request; image and mask are Files
   * @param signal aborts, and cancels the job
   * @param tell called with what is going on, in words
   * @returns {Promise<{blob: Blob, warnings: string[]}>}
   */
  async complete(form, signal, tell) {
    const { id } = await (await this.#patient(form, signal, tell)).json();
    const path = `v1/jobs/${encodeURIComponent(id)}`;
    let fetched = false;
    try {
      for (let pause = 100; ; pause = Math.min(1000, pause * 1.25)) {
        await sleep(pause, signal);
        const job = await (await this.#call(path, { signal })).json();
        if (job.status === "done" || job.status === "failed") break;
        tell(job.status === "queued" ? `Waiting, number ${job.position ?? 1} in the queue` : "Removing");
      }
      const response = await this.#call(`${path}/result`, { signal }).catch((error) => {
        fetched = error instanceof Problem && error.status > 0; // why it failed: the job is gone too
        throw error;
      });
      const warnings = JSON.parse(response.headers.get("X-Finefill-Warnings") ?? "[]");
      return { blob: await response.blob(), warnings };
    } catch (error) {
      // Nobody waits for the result any more; if this fails too, the server forgets it by itself.
      if (!fetched) this.#fetch(path, { method: "DELETE", keepalive: true }).catch(() => {});
      throw error;
    }
  }

  /** Send the order; while the server is busy, wait as long as it says. */
  async #patient(form, signal, tell) {
    for (let attempt = 1; ; attempt++) {
      const body = new FormData();
      for (const [name, value] of Object.entries(form)) body.set(name, value);
      try {
        return await this.#call("v1/jobs", { method: "POST", body, signal });
      } catch (error) {
        if (error.status !== 429 || attempt === TRIES) throw error;
        const seconds = Math.min(Math.max(error.retryAfter ?? 5, 1), 120);
        for (let left = seconds; left > 0; left--) {
          tell(`The server is busy, trying again in ${left} s`);
          await sleep(1000, signal);
        }
        tell("Removing");
      }
    }
  }

  async #call(path, options = {}) {
    for (;;) {
      const response = await this.#fetch(path, options);
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (problem.status !== 401) throw problem;
      const token = await this.askToken();
      if (!token) throw problem;
      sessionStorage.setItem(KEY, token);
    }
  }

  async #fetch(path, options) {
    const token = sessionStorage.getItem(KEY);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    try {
      return await fetch(path, { ...options, headers, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, "The server does not answer. Is it still running?");
    }
  }
}

async function problemOf(response) {
  const { status, statusText, headers } = response;
  const retryAfter = Number.parseInt(headers.get("Retry-After"), 10) || null;
  let detail = "";
  try {
    detail = (await response.json()).detail;
  } catch {
    // not a problem document: a proxy's page, say
  }
  return new Problem(status, detail || `The server answered ${status} ${statusText}`, retryAfter);
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
