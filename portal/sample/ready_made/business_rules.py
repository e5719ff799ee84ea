"""What the sample ERP works out by itself, as triggers.

Maps carry the hierarchy of a product category to the CRM, where it is part of a
lookup, but not back: the ERP knows it from the category.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

_OF_LINE = """
CREATE FUNCTION category_hierarchy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.salesproductcategoryname IS NULL THEN
        NEW.salesproductcategoryhierarchyname := NULL;
    ELSE
        NEW.salesproductcategoryhierarchyname := (
            SELECT productcategoryhierarchyname FROM productcategories
            WHERE categoryname = NEW.salesproductcategoryname
            ORDER BY productcategoryhierarchyname
                <> coalesce(NEW.salesproductcategoryhierarchyname, '')
            LIMIT 1);
    END IF;
    RETURN NEW;
END $$
"""
_OF_PARENT = """
CREATE FUNCTION parent_hierarchy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.parentproductcategoryhierarchyname := CASE
        WHEN NEW.parentproductcategoryname IS NOT NULL
        THEN NEW.productcategoryhierarchyname END;
    RETURN NEW;
END $$
"""
_TRIGGERS = {
    "cdssalesorderlines": "category_hierarchy",
    "cdssalesquotationlines": "category_hierarchy",
    "productcategories": "parent_hierarchy",
}


def statements() -> Iterator[sql.Composed]:
    """The functions and triggers of the ERP."""
    yield sql.Composed([sql.SQL(_OF_LINE)])
    yield sql.Composed([sql.SQL(_OF_PARENT)])
    for table, function in _TRIGGERS.items():
        yield sql.SQL(
            "CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {}"
            " FOR EACH ROW EXECUTE FUNCTION {}()"
        ).format(*map(sql.Identifier, (function, table, function)))
