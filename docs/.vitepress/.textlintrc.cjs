module.exports = { rules: { terminology: { defaultTerms: false, terms: require.resolve('./words.json') } } };
