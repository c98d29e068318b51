"use strict";
const { isMutating } = require("./core.cjs");

/** The answer of a refusal. */
const answer = (refusal) => new Response(refusal.body, { status: refusal.status, headers: refusal.headers });

/**
 * Runs a handler of the web whose answer ends when the token of its request would be
 * refused. handle takes the signal and gives the Response.
 */
async function attend(auth, user, method, handle) {
  const watch = auth.watch(user, { mutating: isMutating(method) });
  let response;
  try {
    response = await handle(watch.signal);
  } catch (error) {
    watch.release();
    throw error;
  }
  if (!response?.body) {
    watch.release();
    return response;
  }
  return new Response(cut(response.body, watch), response);
}

// cut ends a body with an error at the signal, and frees the watch at its end.
function cut(body, { signal, release }) {
  const reader = body.getReader();
  const aborted = new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
  aborted.catch(() => {}); // it is looked at when something is read
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await Promise.race([aborted, reader.read()]);
          if (!done) return controller.enqueue(value);
          release();
          controller.close();
        } catch (error) {
          release();
          controller.error(error);
          await reader.cancel(error).catch(() => {}); // it has ended already
        }
      },
      async cancel(reason) {
        release();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

module.exports = { answer, attend };
