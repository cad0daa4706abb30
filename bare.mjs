import fastify from 'fastify'; import proxy from '@fastify/http-proxy';
const app=fastify(); await app.register(proxy,{upstream:`http://127.0.0.1:${process.argv[2]}`}); await app.listen({port:0,host:'127.0.0.1'}); console.log(JSON.stringify({proxy:`http://127.0.0.1:${app.server.address().port}`}));
