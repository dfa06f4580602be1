// Uploads with Node's fetch, one after the other: node upload.mjs URL BYTES TRIES declared|chunked. Prints the statuses.
const [url, bytes, tries, framing] = process.argv.slice(2);
const piece = new Uint8Array(65_536);

function pieces() {
  let left = Number(bytes);
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close();
      controller.enqueue(piece.subarray(0, Math.min(left, piece.length)));
      left -= piece.length;
    },
  });
}

const statuses = [];
for (let turn = 0; turn < Number(tries); turn++) {
  try {
    const body = framing === "chunked" ? pieces() : new Uint8Array(Number(bytes));
    const response = await fetch(url, { method: "POST", body, duplex: "half", signal: AbortSignal.timeout(20_000) });
    await response.text();
    statuses.push(response.status);
  } catch (error) {
    statuses.push(String(error.cause ?? error));
  }
}
console.log(JSON.stringify(statuses));
