// The server's values of some settings; those it does not know or does not show are left out.
// param names list: names of settings
SHOW SETTINGS YIELD name, value
WHERE name IN $names
RETURN name, value
