import { type Listener, listen, type Place } from './listener.js';

/**
 * Starts the tutorial's sample Function: `GET /function` greets, everything else is 404.
 *
 * @throws PortTaken when the port is in use
 */
export async function startFunction(place: Partial<Place> = {}): Promise<Listener> {
  return await listen({ what: 'the Function', host: '127.0.0.1', port: 0, ...place }, (request, response) => {
    request.resume();
    const path = request.url?.split('?', 1)[0];
    const known = path === '/function' && (request.method === 'GET' || request.method === 'HEAD');
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(known ? 'Hello World from the Function!\n' : 'Not Found\n');
  });
}
