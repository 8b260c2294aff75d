"""Region profiles (地区档案): one YAML file per platform and version of its document, on the engine of `partners.profiles`.

`schema` adds what supervision needs (`specs/municipal.md` 12), `loader` reads the files beside it, `converters` are the few pure functions
that a field list cannot express. Interfaces are named by what they tell (`station_info`, `order`); how a platform spells them is
`wire_name`, or, where no public text shows it, a required member of the link.
"""
