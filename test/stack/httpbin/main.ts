import { startHttpbin } from '../httpbin.js';

// The local HttpBin as a program, with the variables of go-httpbin (HOST, PORT), so that it can stand for its image.

const { HOST = '0.0.0.0', PORT = '8080' } = process.env;
const httpbin = await startHttpbin({ host: HOST, port: Number(PORT) });
process.once('SIGTERM', () => void httpbin.close());
