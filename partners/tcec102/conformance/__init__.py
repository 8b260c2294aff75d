"""The conformance kit: plays the other side of T/CEC 102 against any implementation and says what is wrong, member by member.

It knows an implementation only by its address and its keys, so it also judges platforms that have nothing to do with this hub:

* ``target.read_target`` — address and keys from a file
* ``kit.examine`` — runs every check of one role and gives a ``model.Report``
* ``report`` — the report as text, HTML and JUnit XML

``role`` is what the examined side is: a ``cpo`` answers our queries, an ``msp`` takes our pushes.
"""
