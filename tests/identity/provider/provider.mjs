// A real identity provider on loopback: oidc-provider with one client, JWT access tokens (RFC 9068) and key rotation.
//
// node provider.mjs: prints {"issuer": ...} when it listens; then takes one command a line on standard input:
//   rotate   sign with a new key from here on; the old one stays in the key set
//   retire   drop all keys but the newest from the key set
// and prints {"done": command} after each. It ends when its standard input does.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const makers = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};
const audience = 'urn:example:api';
let keys = [];
let handler;

function newKey(algorithm) {
  const key = makers[algorithm]().privateKey.export({ format: 'jwk' });
  return { ...key, kid: randomUUID(), alg: algorithm, use: 'sig' };
}

function start(issuer) {
  const provider = new Provider(issuer, {
    clients: Object.keys(makers).map((algorithm) => ({
      client_id: `service-${algorithm}`,
      client_secret: 'a secret that only tests know',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    jwks: { keys },
    scopes: ['read', 'write'],
    enabledJWA: { idTokenSigningAlgValues: Object.keys(makers) },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (ctx, resource, client) => ({
          scope: 'read write',
          audience,
          accessTokenTTL: 60,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.clientId.replace('service-', '') } },
        }),
      },
    },
  });
  handler = provider.callback();
}

function rotate() {
  keys = [...Object.keys(makers).map(newKey), ...keys];
}

const server = createServer((request, response) => handler(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  rotate();
  start(issuer);
  console.log(JSON.stringify({ issuer }));
  const commands = {
    rotate,
    retire: () => {
      keys = keys.slice(0, Object.keys(makers).length);
    },
  };
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    commands[line]();
    start(issuer);
    console.log(JSON.stringify({ done: line }));
  });
  lines.on('close', () => process.exit(0));
});
